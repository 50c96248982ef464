"""services.encoder against real servers."""
