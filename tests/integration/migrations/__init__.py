"""Every service's migrations."""
