"""Turns prompts into embeddings, once per content."""
