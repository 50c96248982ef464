"""The API in the shape of OpenAI's Videos, which every open engine and many clients speak, under `/openai/v1`."""
