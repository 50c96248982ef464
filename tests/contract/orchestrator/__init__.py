"""What the orchestrator promises on the wire."""
