"""Properties of parsers and output, by hypothesis."""
