"""From the options given to `Settings` or a `Sweep`: what goes together, and what does not.

Everything a user can get wrong is found here, before anything is opened, and said in one line.
"""

import argparse
import re
from collections.abc import Callable

from check_pop3_plus.model.failures import LOCAL, MEASURED, Kind
from check_pop3_plus.model.sanitised_text import sanitise
from check_pop3_plus.model.settings import (
    Assertions,
    CommandFile,
    Expectation,
    Family,
    Grant,
    IcingaApi,
    JsonLines,
    Limits,
    Login,
    RangePair,
    SecretSource,
    Security,
    Settings,
    State,
    Sweep,
    Target,
    Thresholds,
    TlsPolicy,
    Verify,
)
from check_pop3_plus.options import validators
from check_pop3_plus.options.table import DEFAULT_JOBS, SENSITIVITIES
from check_pop3_plus.options.validators import UsageError, shown

DEFAULT_TIMEOUT = 10.0
LONG_RUN_TIMEOUT = 50.0
"""With further looks, a diagnosis or a sweep: Icinga and Nagios end a plugin after 60 s."""

# --- a sweep ---------------------------------------------------------------------------------

_OF_SWEEPS = (
    "--sweep",
    "--jobs",
    "--submit",
    "--icinga-user",
    "--icinga-password-file",
    "--icinga-ca-file",
)


def sweep(chosen: argparse.Namespace, words: list[str]) -> Sweep:
    own = (*_OF_SWEEPS, "--run-timeout")
    if chosen.hostname is not None:
        raise UsageError("--hostname and --sweep exclude each other: its file names the hosts")
    run_timeout = LONG_RUN_TIMEOUT
    if chosen.run_timeout:
        run_timeout = validators.seconds(chosen.run_timeout, "--run-timeout")
    return Sweep(
        file=validators.path(chosen.sweep, "--sweep") or "",
        common=tuple(word for word in words if word.partition("=")[0] not in own),
        jobs=validators.whole_number(chosen.jobs, "--jobs") or DEFAULT_JOBS,
        run_timeout=run_timeout,
        submit_target=_receiver(chosen),
        verbosity=min(chosen.verbose, 3),
    )


def _receiver(chosen: argparse.Namespace) -> IcingaApi | CommandFile | JsonLines | None:
    kind, _, where = (chosen.submit or "").partition(":")
    of_api = (chosen.icinga_user, chosen.icinga_password_file, chosen.icinga_ca_file)
    if kind != "icinga2" and any(value is not None for value in of_api):
        raise UsageError("the options --icinga-... need --submit icinga2:URL")
    if chosen.submit is None:
        return None
    if kind == "nagios" and where:
        return CommandFile(validators.path(where, "--submit") or "")
    if kind == "jsonl" and where == "-":
        return JsonLines()
    if kind != "icinga2":
        raise UsageError(
            f"invalid --submit {shown(chosen.submit)}: not icinga2:URL, nagios:FILE or jsonl:-"
        )
    endpoint = validators.https_url(where, "--submit")
    if not chosen.icinga_user or not chosen.icinga_password_file:
        raise UsageError("--submit icinga2:URL needs --icinga-user and --icinga-password-file")
    if ":" in chosen.icinga_user:
        raise UsageError("invalid --icinga-user: a colon (RFC 7617 section 2)")
    return IcingaApi(
        endpoint,
        validators.visible(chosen.icinga_user, "--icinga-user"),
        validators.path(chosen.icinga_password_file, "--icinga-password-file") or "",
        validators.path(chosen.icinga_ca_file, "--icinga-ca-file"),
    )


# --- from words to settings ------------------------------------------------------------------


def settings(chosen: argparse.Namespace) -> Settings:
    for option in _OF_SWEEPS:
        if getattr(chosen, option.removeprefix("--").replace("-", "_")) is not None:
            raise UsageError(
                f"{option} stands on the command line alone"
                if option == "--sweep"
                else f"{option} needs --sweep on the command line"
            )
    security = _security(chosen)
    target = _target(chosen, security)
    states = _states(chosen)
    timeout = _timeout(chosen, states)
    verify = Verify(chosen.verify)
    limits = _limits(chosen, timeout)
    return Settings(
        target=target,
        tls=TlsPolicy(
            security=security,
            verify=verify,
            name=validators.host(chosen.sni, "--sni")
            if chosen.sni is not None
            else target.hostname,
            minimum=chosen.tls_min,
            ca_file=validators.path(chosen.ca_file, "--ca-file"),
            ca_path=validators.path(chosen.ca_path, "--ca-path"),
            client_cert=validators.path(chosen.client_cert, "--client-cert"),
            client_key=_client_key(chosen),
            strict=_strict(chosen, verify),
            pins=tuple(validators.pin(word) for word in chosen.pin or ()),
        ),
        login=_login(chosen, security, verify),
        limits=limits,
        thresholds=_thresholds(chosen),
        expect=Expectation(tuple(chosen.expect or ()), chosen.all),
        assertions=_assertions(chosen, security),
        states=states,
        diagnosis=validators.subjects(chosen.diagnose, "--diagnose")
        if chosen.diagnose is not None
        else None,
        verbosity=min(chosen.verbose, 3),
    )


def _security(chosen: argparse.Namespace) -> Security:
    if chosen.ssl and chosen.starttls:
        raise UsageError("-S and --starttls exclude each other: TLS from the first byte, or STLS")
    if chosen.starttls:
        return Security.STLS
    return Security.IMPLICIT if chosen.ssl or chosen.certificate is not None else Security.PLAIN


def _target(chosen: argparse.Namespace, security: Security) -> Target:
    if chosen.hostname is None:
        raise UsageError("-H/--hostname is required (--help shows the options)")
    if chosen.use_ipv4 and chosen.use_ipv6:
        raise UsageError("-4 and -6 exclude each other")
    family = Family.IPV4 if chosen.use_ipv4 else Family.IPV6 if chosen.use_ipv6 else Family.ANY
    hostname = validators.host(chosen.hostname, "--hostname")
    connect_to = chosen.connect_to
    if connect_to is not None:
        connect_to = validators.host(connect_to, "--connect-to")
    source = chosen.source_address
    if source is not None:
        source = validators.host(source, "--source-address")
        if not validators.is_numeric(source):
            raise UsageError(f"invalid --source-address {shown(source)}: not a numeric address")
        if family not in (Family.ANY, validators.family_of(source)):
            raise UsageError(f"--source-address {sanitise(source)} is not of the family asked for")
        family = validators.family_of(source)
    number = chosen.port
    if number is None:
        port = 995 if security is Security.IMPLICIT else 110
    elif re.fullmatch(r"[0-9]{1,5}", number) and 1 <= int(number) <= 65535:
        port = int(number)
    else:
        raise UsageError(f"invalid --port {shown(number)}: not from 1 to 65535")
    where = connect_to or hostname
    if validators.is_numeric(where) and family not in (Family.ANY, validators.family_of(where)):
        raise UsageError(f"{sanitise(where)} is not an {_FAMILY_NAMES[family]} address")
    enough = validators.whole_number(chosen.min_addresses, "--min-addresses")
    if enough is not None and not chosen.all_addresses:
        raise UsageError("--min-addresses needs --all-addresses")
    return Target(hostname, port, family, connect_to, source, chosen.all_addresses, enough)


_FAMILY_NAMES = {Family.IPV4: "IPv4", Family.IPV6: "IPv6"}


def _client_key(chosen: argparse.Namespace) -> str | None:
    if chosen.client_key is not None and chosen.client_cert is None:
        raise UsageError("--client-key needs --client-cert")
    return validators.path(chosen.client_key, "--client-key")


def _strict(chosen: argparse.Namespace, verify: Verify) -> bool:
    if chosen.x509_strict and verify is Verify.NONE:
        raise UsageError("--x509-strict and --verify none exclude each other")
    strict: bool = chosen.x509_strict
    return strict


def _login(chosen: argparse.Namespace, security: Security, verify: Verify) -> Login | None:
    sources = (chosen.password_file, chosen.password_env, chosen.password_command)
    grant = _grant(chosen)
    given = sum(source is not None for source in (*sources, grant))
    if chosen.username is None:
        if given:
            raise UsageError("a password source needs -U/--username")
        if any((chosen.messages_warning, chosen.messages_critical)) or any(
            (chosen.size_warning, chosen.size_critical)
        ):
            raise UsageError("mailbox thresholds need a login: -U/--username")
        return None
    if given > 1:
        raise UsageError(
            "only one of --password-file, --password-env, --password-command, --oauth-token-url"
        )
    if chosen.auth == "external":
        if given:
            raise UsageError("--auth external takes no password: the client certificate proves it")
        if chosen.client_cert is None:
            raise UsageError("--auth external needs --client-cert")
    if "" in sources:
        raise UsageError("the source of the password is empty")
    if not chosen.username or re.search(r"[\x00-\x1f\x7f]", chosen.username):
        raise UsageError("invalid --username: empty, or with control characters")
    is_verified = security is not Security.PLAIN and verify is Verify.FULL
    if not is_verified and not chosen.allow_insecure_login:
        how = "without TLS" if security is Security.PLAIN else f"with --verify {verify.value}"
        raise UsageError(
            f"no password is sent {how}; use -S or --starttls with --verify full,"
            " or --allow-insecure-login"
        )
    source = SecretSource(*sources, grant)
    return Login(chosen.username, source, chosen.auth, chosen.allow_insecure_login)


def _grant(chosen: argparse.Namespace) -> Grant | None:
    url, client_id = chosen.oauth_token_url, chosen.oauth_client_id
    secret = validators.path(chosen.oauth_client_secret_file, "--oauth-client-secret-file")
    refresh = validators.path(chosen.oauth_refresh_token_file, "--oauth-refresh-token-file")
    scope, ca_file = chosen.oauth_scope, validators.path(chosen.oauth_ca_file, "--oauth-ca-file")
    if url is None:
        if any(value is not None for value in (client_id, secret, refresh, scope, ca_file)):
            raise UsageError("the options --oauth-... need --oauth-token-url")
        return None
    endpoint = validators.https_url(url, "--oauth-token-url")
    # Not implied: which of the two a server takes is for the user to know, as with every
    # mechanism that `auto` does not choose.
    if chosen.auth not in ("xoauth2", "oauthbearer"):
        raise UsageError("--oauth-token-url needs --auth xoauth2 or --auth oauthbearer")
    if client_id is None:
        raise UsageError("--oauth-token-url needs --oauth-client-id")
    if secret is None and refresh is None:
        raise UsageError(
            "--oauth-token-url needs --oauth-client-secret-file or --oauth-refresh-token-file"
        )
    client_id = validators.visible(client_id, "--oauth-client-id")
    if scope is not None:
        scope = validators.visible(scope, "--oauth-scope")
    return Grant(endpoint, client_id, secret, refresh, scope, ca_file)


def _assertions(chosen: argparse.Namespace, security: Security) -> Assertions:
    if security is Security.PLAIN:
        for option in _NEED_TLS:
            if getattr(chosen, option.removeprefix("--").replace("-", "_")):
                raise UsageError(f"{option} needs -S or --starttls")
    if chosen.reject_legacy_tls and chosen.tls_min == "1.1":
        raise UsageError("--reject-legacy-tls and --tls-min 1.1 exclude each other")
    if chosen.check_starttls_injection and security is not Security.STLS:
        raise UsageError("--check-starttls-injection needs --starttls")
    if chosen.refuse_cleartext_login:
        if security is Security.IMPLICIT:
            raise UsageError("--refuse-cleartext-login is about the plain port, not for -S")
        if security is Security.PLAIN and chosen.username is not None:
            raise UsageError("--refuse-cleartext-login and a cleartext login exclude each other")
    return Assertions(
        capabilities=validators.capabilities(chosen.require_capa),
        refuses_cleartext=chosen.refuse_cleartext_login,
        resists_injection=chosen.check_starttls_injection,
        rejects_legacy_tls=chosen.reject_legacy_tls,
        issuer=validators.filled(chosen.issuer, "--issuer"),
        deployed_file=validators.path(chosen.expect_cert_file, "--expect-cert-file"),
        min_key_bits=validators.whole_number(chosen.min_key_bits, "--min-key-bits"),
        max_validity=validators.days(chosen.max_validity, "--max-validity"),
    )


_NEED_TLS = (
    "--x509-strict",
    "--pin",
    "--issuer",
    "--expect-cert-file",
    "--min-key-bits",
    "--max-validity",
    "--reject-legacy-tls",
)


def _states(chosen: argparse.Namespace) -> dict[str, State]:
    states: dict[str, State] = {}
    if chosen.refuse is not None:
        states[Kind.REFUSED.value] = validators.state(chosen.refuse, "--refuse")
    if chosen.mismatch is not None:
        states[Kind.EXPECT.value] = validators.state(chosen.mismatch, "--mismatch")
    for assignment in chosen.state or ():
        kind, separator, state = assignment.partition("=")
        if not separator:
            raise UsageError(f"invalid --state {shown(assignment)}: not KIND=STATE")
        if kind not in {known.value for known in Kind} - {known.value for known in LOCAL}:
            raise UsageError(f"invalid --state: no kind of failure is called {shown(kind)}")
        states[kind] = validators.state(state, "--state")
    return states


def _timeout(chosen: argparse.Namespace, states: dict[str, State]) -> float:
    if chosen.timeout is None:
        return DEFAULT_TIMEOUT
    seconds, separator, state = chosen.timeout.partition(":")
    if separator:
        states.setdefault(Kind.TIMEOUT.value, validators.state(state, "--timeout"))
    return validators.seconds(seconds, "--timeout")


def _limits(chosen: argparse.Namespace, timeout: float) -> Limits:
    further = (chosen.diagnose, chosen.sensitivity, chosen.rechecks)
    if chosen.sensitivity is not None and chosen.rechecks is not None:
        raise UsageError("--sensitivity and --rechecks exclude each other")
    rechecks = validators.rechecks(chosen.rechecks, "--rechecks")
    if rechecks is None:
        rechecks = SENSITIVITIES.get(chosen.sensitivity, 0)
    if chosen.run_timeout is not None:
        run_timeout = validators.seconds(chosen.run_timeout, "--run-timeout")
    elif any(option is not None for option in further):
        run_timeout = max(timeout, LONG_RUN_TIMEOUT)
    else:
        run_timeout = timeout
    return Limits(min(timeout, run_timeout), run_timeout, rechecks)


# --- thresholds ------------------------------------------------------------------------------


def _thresholds(chosen: argparse.Namespace) -> Thresholds:
    phases: dict[str, RangePair] = {}
    known = {phase.value for phase in MEASURED}
    for option, level in (("--phase-warning", "warning"), ("--phase-critical", "critical")):
        for assignment in getattr(chosen, f"phase_{level}") or ():
            phase, separator, spec = assignment.partition("=")
            if not separator or phase not in known:
                raise UsageError(f"invalid {option} {shown(assignment)}: not PHASE=RANGE")
            pair = phases.get(phase, RangePair())
            phases[phase] = pair.replace(**{level: validators.range_spec(spec, option)})
    warning, critical = validators.certificate_limits(chosen.certificate)
    return Thresholds(
        time=_pair(chosen, "", validators.range_spec),
        phases=phases,
        messages=_pair(chosen, "messages_", validators.range_spec),
        size=_pair(chosen, "size_", validators.size_range),
        certificate_warning=warning,
        certificate_critical=critical,
    )


def _pair(chosen: argparse.Namespace, prefix: str, check: Callable[[str, str], str]) -> RangePair:
    limits = []
    for level in ("warning", "critical"):
        spec = getattr(chosen, prefix + level)
        option = "--" + (prefix + level).replace("_", "-")
        limits.append(None if spec is None else check(spec, option))
    return RangePair(*limits)
