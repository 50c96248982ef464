"""Tests of what parts promise each other."""
