"""Tests of what the chaos tests rely on."""
