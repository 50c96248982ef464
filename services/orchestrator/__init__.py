"""The orchestrator: the public video API and the one owner of every job's state."""
