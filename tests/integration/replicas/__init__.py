"""Two replicas of every service."""
