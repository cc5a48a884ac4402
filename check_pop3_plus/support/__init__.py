"""Helpers: deadlines, files, programs, masking."""
