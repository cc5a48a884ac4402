"""Certificates in DER to facts."""
