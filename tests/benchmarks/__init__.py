"""Measurements of the gateway before real services; each module is a command that prints its figures."""
