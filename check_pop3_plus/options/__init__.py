"""Command line and INI files to settings."""
