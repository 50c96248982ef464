"""services.safety against real servers."""
