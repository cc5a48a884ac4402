"""Tests, and the servers and certificates that they share with the demo and the benchmarks."""
