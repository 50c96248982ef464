"""Every test of Kinemesh."""
