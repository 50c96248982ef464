"""Faults injected into the real services, and one checker of what must hold whatever happens."""
