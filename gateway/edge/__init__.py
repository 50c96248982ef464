"""The edge app: what the transcoder cannot serve. Towards the mesh it is a gRPC client like any other."""
