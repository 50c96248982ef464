"""Judges frames. Decoding and looking happen in the sandboxed child process."""
