"""Tests of the server starters themselves."""
