"""How Kinemesh is run: on one machine (`local`)."""
