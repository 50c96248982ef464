"""Reads and writes media. Everything here runs in the sandboxed child process and knows no network and no secret."""
