"""Renders the configuration of the Envoy in front of the mesh."""
