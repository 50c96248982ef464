"""Tests of the rendered world and training."""
