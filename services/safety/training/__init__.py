"""Trains the text classifier: `python -m services.safety.training`."""
