"""The services of the mesh: one folder, one process; they share only `services.common`."""
