"""Helpers: command runner, output parsers, secret search."""
