"""Pictures that users send: judged by their header, decoded in a child process, kept as PNG."""
