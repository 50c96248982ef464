"""Makes signed deliverables from lossless mezzanines."""
