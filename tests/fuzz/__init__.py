"""Schemathesis against the running front: every check it has, on the OpenAPI document that the gateway serves."""
