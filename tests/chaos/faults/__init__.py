"""Ways to make things go wrong: processes, networks, calls and disks."""
