"""services.common against real servers."""
