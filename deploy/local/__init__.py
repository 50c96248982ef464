"""The all-in-one runner: the whole mesh on one machine, from the installed wheels."""
