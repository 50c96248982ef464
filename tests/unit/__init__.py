"""Tests of pure parts: no sockets, no processes."""
