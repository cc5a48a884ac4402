"""Build the settings of a round trip from the given options."""

import os
import re

from check_pop3_plus.model.settings import (
    TOKEN_METHODS,
    Grant,
    Login,
    RangePair,
    RoundTrip,
    SecretSource,
    Security,
    Smtp,
    Target,
    TlsPolicy,
    Verify,
)
from check_pop3_plus.options import validators
from check_pop3_plus.options.table import Given
from check_pop3_plus.options.validators import UsageError, invalid

_SECURITIES = {"--smtp-ssl": Security.IMPLICIT, "--smtp-starttls": Security.STLS}

_PORTS = {Security.IMPLICIT: 465, Security.STLS: 587, Security.PLAIN: 25}

_AGES = ("--probe-age-warning", "--probe-age-critical")

_PASSWORDS = ("--smtp-password-file", "--smtp-password-env", "--smtp-password-command")


def build(
    given: Given, target: Target, tls: TlsPolicy, grant: Grant | None, delivery: RangePair
) -> RoundTrip:
    """Return the round trip. Raises UsageError."""
    is_fetch_only = "--round-trip-fetch-only" in given
    needed = ["--username", "--round-trip-key-file"]
    needed += [] if is_fetch_only else ["--smtp-host", "--smtp-from"]
    for option in needed:
        if option not in given:
            raise UsageError("{} needs {}", "--round-trip-to", option)
    unused = next((each for each in given if each.startswith("--smtp-")), None)
    if is_fetch_only and unused:
        raise UsageError("{} sends nothing: leave out {}", "--round-trip-fetch-only", unused)
    recipient = given.needed("--round-trip-to", validators.mail_address)
    identifier = given.checked("--round-trip-id", validators.identifier)
    warning = _age(given, _AGES[0]) or RoundTrip.probe_age_warning
    critical = _age(given, _AGES[1]) or max(RoundTrip.probe_age_critical, warning)
    if warning > critical:
        raise UsageError("{} must not be below {}", *_AGES[::-1])
    return RoundTrip(
        recipient=recipient,
        key_file=given.needed("--round-trip-key-file", validators.path),
        id=identifier or _default_identifier(target.hostname),
        smtp=None if is_fetch_only else _smtp(given, target, tls, grant),
        wait=given.checked("--round-trip-wait", validators.seconds_or_none) or 0.0,
        probe_age_warning=warning,
        probe_age_critical=critical,
        delivery=delivery,
    )


def _default_identifier(hostname: str) -> str:
    return re.sub("[^A-Za-z0-9._:@-]", "-", os.uname().nodename) + "/" + hostname


def _age(given: Given, option: str) -> float | None:
    spec = given.checked(option, validators.age_range)
    limit = validators.upper_limit(spec)
    if spec is not None and not limit:
        raise invalid(option, given[option][-1], "must be an age above 0, such as 15m")
    return limit


def _smtp(given: Given, target: Target, pop3_tls: TlsPolicy, grant: Grant | None) -> Smtp:
    security = given.selected(_SECURITIES, Security.PLAIN)
    host = given.needed("--smtp-host", validators.host)
    tls = TlsPolicy(
        security=security,
        verify=pop3_tls.verify,
        name=host,
        minimum=pop3_tls.minimum,
        ca_file=given.checked("--smtp-ca-file", validators.path) or pop3_tls.ca_file,
        ca_path=None if "--smtp-ca-file" in given else pop3_tls.ca_path,
        strict=pop3_tls.strict,
    )
    return Smtp(
        target=Target(
            host,
            given.checked("--smtp-port", validators.port) or _PORTS[security],
            target.family,
            given.checked("--smtp-connect-to", validators.host),
        ),
        sender=given.needed("--smtp-from", validators.mail_address),
        tls=tls,
        helo=given.checked("--smtp-helo", validators.helo),
        login=_login(given, tls, grant),
    )


def _login(given: Given, tls: TlsPolicy, grant: Grant | None) -> Login | None:
    sources = [option for option in _PASSWORDS if option in given]
    if "--smtp-username" not in given:
        for unused in (*_PASSWORDS, "--smtp-auth"):
            if unused in given:
                raise UsageError("{} needs --smtp-username", unused)
        return None
    mechanism = given.last("--smtp-auth") or "auto"
    has_token = grant is not None and mechanism in TOKEN_METHODS and not sources
    if len(sources) + has_token != 1:
        raise UsageError("{} needs one of {}, {}, {}", "--smtp-username", *_PASSWORDS)
    is_safe = tls.security is not Security.PLAIN and tls.verify is Verify.FULL
    if not is_safe and "--allow-insecure-login" not in given:
        raise UsageError(
            "no password is sent to the SMTP server without verified TLS; use --smtp-ssl or"
            " --smtp-starttls with {} full, or --allow-insecure-login",
            "--verify",
        )
    file, env, command = (given.checked(option, validators.filled) for option in _PASSWORDS)
    username = given.needed("--smtp-username", validators.username)
    source = SecretSource(file, env, command, grant if has_token else None)
    return Login(username, source, mechanism, "--allow-insecure-login" in given)
