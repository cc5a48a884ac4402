"""Measurements. Nothing here is a test: numbers depend on the machine, tests must not."""
