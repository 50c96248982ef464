"""Tests of the whole mesh through its gateway."""
