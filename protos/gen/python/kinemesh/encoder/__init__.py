"""Generated from the contracts by protos/generate.py."""
