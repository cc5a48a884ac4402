"""The variables that OpenSSL reads."""

import os

import pytest

from check_pop3_plus.support import openssl_environment


def test_remove_takes_openssl_variables_and_restores_them_for_programs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fault 77: they do not steer the check, and a program that the user names gets them."""
    monkeypatch.setattr(openssl_environment, "_removed", {})
    for name in ("OPENSSL_CONF", "OPENSSL_MODULES", "SSL_CERT_FILE", "OPENSSL_ia32cap"):
        monkeypatch.setenv(name, "x")

    openssl_environment.remove()

    assert not {"OPENSSL_CONF", "OPENSSL_MODULES", "SSL_CERT_FILE"} & set(os.environ)
    assert "OPENSSL_ia32cap" in os.environ
    assert openssl_environment.restored()["OPENSSL_CONF"] == "x"
