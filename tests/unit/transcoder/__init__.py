"""Unit tests of services.transcoder."""
