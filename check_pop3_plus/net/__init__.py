"""All network I/O, each call within a deadline."""
