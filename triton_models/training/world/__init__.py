"""The rendered world: captioned clips and the events that make their sound."""
