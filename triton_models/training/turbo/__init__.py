"""Distillation of the video transformer to a few steps."""
