"""Properties of parsers and output over many inputs: by hypothesis, or over a corpus."""
