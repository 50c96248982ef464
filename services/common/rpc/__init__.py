"""The gRPC server and client every service uses."""
