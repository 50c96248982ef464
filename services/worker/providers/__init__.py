"""Drives other people's video APIs as a worker drives its Triton."""
