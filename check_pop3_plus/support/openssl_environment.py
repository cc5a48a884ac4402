"""Keep the environment from steering OpenSSL, which reads it when it is loaded.

A provider or engine named there runs code, a configuration file changes the result. The system's
own openssl.cnf is honoured. Programs that the user names still get the variables.
"""

import os

_FILES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE", "CTLOG_FILE")

_removed: dict[str, str] = {}


def remove() -> None:
    """Remove the variables that OpenSSL reads, but for those about the processor (`..cap`)."""
    for name in list(os.environ):
        if name in _FILES or (name.startswith("OPENSSL_") and not name.endswith("cap")):
            _removed[name] = os.environ.pop(name)


def restored() -> dict[str, str]:
    """Return the environment as it was for OpenSSL, for programs that the user names."""
    return {**os.environ, **_removed}
