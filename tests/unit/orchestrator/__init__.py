"""The orchestrator's pure parts."""
