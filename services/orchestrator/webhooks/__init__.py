"""Telling a user's own server that a video ended."""
