"""Read certificate facts from DER."""
