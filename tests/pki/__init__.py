"""Certificates for the tests."""
