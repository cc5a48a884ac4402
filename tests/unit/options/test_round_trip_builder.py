"""The settings of a round trip."""

import os

import pytest

from check_pop3_plus.model.settings import Family, Security
from check_pop3_plus.options.validators import UsageError
from tests.support.settings_from import check_settings

LOGIN = ("-H", "pop.example.org", "-S", "-U", "monitor", "--password-file", "p")
TO = ("--round-trip-to", "a@example.org", "--round-trip-key-file", "k")
SOURCES = "--smtp-password-file, --smtp-password-env, --smtp-password-command"
SMTP = ("--smtp-host", "mx.example.org", "--smtp-from", "b@example.org")


def test_round_trip_has_defaults() -> None:
    """The identifier tells monitors apart; the whole run gets the time to wait."""
    settings = check_settings([*LOGIN, *TO, *SMTP, "-4", "--ca-file", "ca"])
    trip = settings.round_trip

    assert trip is not None
    assert trip.smtp is not None
    assert trip.id.endswith("/pop.example.org")
    assert trip.id.startswith(os.uname().nodename[:1])
    assert (trip.probe_age_warning, trip.probe_age_critical, trip.wait) == (900, 1800, 0)
    assert (trip.smtp.target.port, trip.smtp.target.family) == (25, Family.IPV4)
    assert (trip.smtp.tls.ca_file, trip.smtp.tls.name) == ("ca", "mx.example.org")
    assert settings.limits.run_timeout == 50


@pytest.mark.parametrize(
    ("words", "port", "security"),
    [
        (("--smtp-ssl",), 465, Security.IMPLICIT),
        (("--smtp-starttls",), 587, Security.STLS),
        (("--smtp-starttls", "--smtp-port", "25"), 25, Security.STLS),
    ],
)
def test_smtp_port_depends_on_tls(words: tuple[str, ...], port: int, security: Security) -> None:
    """RFC 8314 and RFC 6409."""
    trip = check_settings([*LOGIN, *TO, *SMTP, *words]).round_trip

    assert trip is not None
    assert trip.smtp is not None
    assert (trip.smtp.target.port, trip.smtp.tls.security) == (port, security)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((*LOGIN, *SMTP), "--smtp-host needs --round-trip-to"),
        ((*LOGIN, "--probe-age-warning", "1h"), "--probe-age-warning needs --round-trip-to"),
        (("-H", "x", *TO, *SMTP), "--round-trip-to needs --username"),
        ((*LOGIN, *TO[:2], *SMTP), "needs --round-trip-key-file"),
        ((*LOGIN, *TO), "needs --smtp-host"),
        ((*LOGIN, *TO, *SMTP[:2]), "needs --smtp-from"),
        ((*LOGIN, *TO, *SMTP, "--round-trip-fetch-only"), "sends nothing: leave out --smtp-host"),
        ((*LOGIN, *TO, *SMTP, "--smtp-ssl", "--smtp-starttls"), "cannot be combined"),
        (
            (*LOGIN, *TO, *SMTP, "--probe-age-warning", "1h:2h"),
            "must be an age above 0, such as 15m",
        ),
        (
            (*LOGIN, *TO, *SMTP, "--probe-age-critical", "1m"),
            "must not be below --probe-age-warning",
        ),
        ((*LOGIN, *TO, *SMTP, "--smtp-username", "u"), f"needs one of {SOURCES}"),
        ((*LOGIN, *TO, *SMTP, "--smtp-password-file", "x"), "needs --smtp-username"),
        (
            (*LOGIN, *TO, *SMTP, "--smtp-username", "u", "--smtp-password-file", "x"),
            "no password is sent to the SMTP server without verified TLS; use --smtp-ssl or"
            " --smtp-starttls with --verify full, or --allow-insecure-login",
        ),
        (
            (*LOGIN, *TO, *SMTP, "--smtp-helo", "a b"),
            "it contains a blank or comma; give one host name",
        ),
        (
            (*LOGIN, *TO, *SMTP, "--round-trip-id", "a;b"),
            "must be 1 to 100 letters, digits or . _ : @ / + -",
        ),
        (
            (*LOGIN, *TO, *SMTP, "--delivery-warning", "9", "--delivery-critical", "3"),
            "did you mean --delivery-warning 3 --delivery-critical 9?",
        ),
        (
            (*LOGIN, *TO, *SMTP[:3], "a@b\r\nRCPT TO:(c)"),
            "it contains a blank or comma; give one host name",
        ),
        ((*LOGIN, *TO, *SMTP[:3], "a b@example.org"), "must be user@domain in ASCII"),
    ],
)
@pytest.mark.threat("T18")
def test_round_trip_that_cannot_work_is_a_usage_error(words: tuple[str, ...], reason: str) -> None:
    """The option is named, before anything is opened."""
    with pytest.raises(UsageError) as caught:
        check_settings(list(words))

    assert caught.value.message.endswith(reason)


def test_token_of_the_smtp_login_may_be_fetched() -> None:
    """The options are shared; the POP3 login may use a password."""
    oauth = ("--oauth-token-url", "https://t.example/", "--oauth-client-id", "i")
    more = ("--oauth-client-secret-file", "s", "--smtp-ssl", "--smtp-username", "u")
    trip = check_settings([*LOGIN, *TO, *SMTP, *oauth, *more, "--smtp-auth=xoauth2"]).round_trip

    assert trip is not None
    assert trip.smtp is not None
    assert trip.smtp.login is not None
    assert trip.smtp.login.source.grant is not None
