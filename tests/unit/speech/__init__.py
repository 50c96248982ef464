"""Tests of the voice and the lips."""
