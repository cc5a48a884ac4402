"""Log in by SASL (RFC 4422) in any protocol."""
