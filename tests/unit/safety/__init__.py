"""Unit tests of services.safety."""
