"""What the orchestrator does, one module per noun."""
