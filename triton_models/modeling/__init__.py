"""The PyTorch model library: no serving framework is imported here."""
