"""Training of the voice and the lips."""
