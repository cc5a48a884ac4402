"""Servers for the tests: scripted ones, and drivers of real ones."""
