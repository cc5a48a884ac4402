"""Collect facts from the server into a report."""
