"""The orchestrator against real servers."""
