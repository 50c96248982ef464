"""Provider workers against providers on loopback."""
