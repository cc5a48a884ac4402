"""Benchmarks. They are not tests, because the numbers depend on the machine."""
