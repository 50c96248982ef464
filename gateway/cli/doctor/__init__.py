"""`kinemesh doctor`: names what is wrong with an installation."""
