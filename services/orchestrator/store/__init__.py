"""Every SQL string of the orchestrator."""
