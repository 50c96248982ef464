"""Tiny random checkpoints in the formats in which the models are published, written without any download."""
