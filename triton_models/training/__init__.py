"""Procedural data, training, evaluation."""
