"""Every SQL string of the scheduler."""
