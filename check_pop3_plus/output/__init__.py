"""Renderers of a verdict."""
