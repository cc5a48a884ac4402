"""The whole check against scripted servers: the fault catalogue and the threats."""
