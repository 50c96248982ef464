"""Classifiers trained on rendered clips alone, which say what a generated clip shows."""
