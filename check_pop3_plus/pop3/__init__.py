"""The POP3 protocol without I/O."""
