"""Pure types and rules of the scheduler."""
