"""services.transcoder against real servers."""
