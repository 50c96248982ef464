"""Unit tests of services.encoder."""
