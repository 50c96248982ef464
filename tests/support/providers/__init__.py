"""Providers on loopback, each believed by its own official client."""
