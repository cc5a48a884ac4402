"""Receivers of the results of a sweep."""
