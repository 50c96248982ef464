"""What people and programs outside the mesh meet: Envoy's configuration, the edge app and the command line."""
