"""Build `Settings` from the given options, and reject invalid combinations.

Every mistake in the options is reported here, before anything is opened.
"""

import re
from collections.abc import Callable

from check_pop3_plus.model.failures import LOCAL, MEASURED, FromFile, Kind
from check_pop3_plus.model.sanitised_text import Printable, printable
from check_pop3_plus.model.settings import (
    TOKEN_METHODS,
    Assertions,
    Expectation,
    Family,
    Grant,
    Limits,
    Login,
    RangePair,
    RoundTrip,
    SecretSource,
    Security,
    Settings,
    State,
    Target,
    Thresholds,
    TlsPolicy,
    Verify,
)
from check_pop3_plus.options import validators
from check_pop3_plus.options.table import (
    BY_FLAG,
    ENTRIES,
    OF_MAILBOX,
    OF_SWEEPS,
    OF_TLS,
    PROGRAM,
    SENSITIVITIES,
    Given,
)
from check_pop3_plus.options.validators import UsageError, invalid, shown

LONG_RUN_TIMEOUT = 50.0
"""With retries or a diagnosis: Icinga and Nagios end a plugin after 60 s."""

_EXCLUSIVE = {
    ("-S", "--starttls"): ": use TLS from the first byte, or STLS",
    ("-4", "-6"): "",
    ("--sensitivity", "--rechecks"): "",
    ("--x509-strict", "--verify none"): "",
    ("--reject-legacy-tls", "--tls-min 1.1"): "",
    (
        "--cert-type",
        "--tls-min 1.3",
    ): ": only TLS 1.2 lets a client choose the type of the certificate",
    ("--smtp-ssl", "--smtp-starttls"): "",
}
"""Two options, or options with this value, that cannot be combined, and the cure."""


def settings(given: Given) -> Settings:
    """Return the settings of one check. Raises UsageError."""
    for option in OF_SWEEPS:
        if option in given:
            how = "is only allowed" if option == "--sweep" else "needs --sweep"
            raise UsageError("{} " + how + " on the command line", option)
    if "--hostname" not in given:
        raise UsageError("-H/--hostname is required; see --help")
    for (first, second), cure in _EXCLUSIVE.items():
        if _is_given(given, first) and _is_given(given, second):
            raise UsageError("{} and {} cannot be combined" + cure, first, second)
    security = _security(given)
    target = _target(given, security)
    states = _states(given)
    limits = _limits(given, _timeout(given, states))
    tls = _tls(given, security, target.hostname)
    login, thresholds = _login(given, tls), _thresholds(given)
    _check_needs(given)
    return Settings(
        target=target,
        tls=tls,
        login=login,
        limits=limits,
        thresholds=thresholds,
        expect=Expectation(
            tuple(validators.not_empty(text, "--expect") for text in given.get("--expect", ())),
            "--all" in given,
        ),
        assertions=_assertions(given, security),
        round_trip=_round_trip(given, target, tls),
        states=states,
        diagnosis=given.checked("--diagnose", validators.subjects),
        verbosity=verbosity(given),
        notes=_notes(given, limits),
        command=_command(given),
    )


def _check_needs(given: Given) -> None:
    """Raise UsageError if an option is given without the one that it needs."""
    for entry in ENTRIES:
        if not entry.needs or entry.name not in given:
            continue
        if not _is_any_given(given, entry.needs):
            raise UsageError("{} needs {}", entry.name, entry.needs)


def _is_any_given(given: Given, flags: str) -> bool:
    """Return whether one of the flags that ` or ` joins is given."""
    return any(_is_given(given, flag) for flag in flags.split(" or "))


def _is_given(given: Given, words: str) -> bool:
    """Return whether a flag is given, or implied; with its value, if there is one in `words`."""
    flag, _, value = words.partition(" ")
    option = BY_FLAG[flag].name
    if value:
        return given.last(option) == value
    return option in given or (option == "--ssl" and _security(given) is Security.IMPLICIT)


def verbosity(given: Given) -> int:
    return min(len(given.get("--verbose", ())), 3)


_SECURITIES = {
    "--starttls": Security.STLS,
    "--ssl": Security.IMPLICIT,
    "--certificate": Security.IMPLICIT,
}


def _security(given: Given) -> Security:
    return given.selected(_SECURITIES, Security.PLAIN)


_PLAIN_WORD = re.compile(r"[A-Za-z0-9_./:=,@%+-]+")
"""A word that every shell, mail client and web page leaves as it is."""


def _command(given: Given) -> str:
    """Return the command line that repeats a check by hand, or nothing if it would need quotes.

    It cannot hold a secret: no option takes one. A password file without a path may be one.
    """
    words = [PROGRAM]
    if any("/" not in given[each][-1] for each in given if each.endswith("password-file")):
        return ""
    for entry in ENTRIES:
        values = given.get(entry.name, []) if entry.name != "--output" else []
        flag = entry.flags.partition(" ")[0]
        for value in values if entry.is_repeatable else values[-1:]:
            if entry.is_optional and value:
                words.append(f"{flag}={value}")
            else:
                words += [flag, value] if entry.value and not entry.is_optional else [flag]
    return " ".join(words) if all(map(_PLAIN_WORD.fullmatch, words)) else ""


# --- the target --------------------------------------------------------------------------------

_FAMILIES = {"--use-ipv4": Family.IPV4, "--use-ipv6": Family.IPV6}
_FAMILY_NAMES = {Family.IPV4: "IPv4", Family.IPV6: "IPv6"}


def _target(given: Given, security: Security) -> Target:
    hostname = given.needed("--hostname", validators.host)
    connect_to = given.checked("--connect-to", validators.host)
    source = given.checked("--source-address", validators.address)
    family = _family(given, source)
    port = given.checked("--port", validators.port)
    host = connect_to or hostname
    if validators.is_numeric(host) and family not in (Family.ANY, validators.family_of(host)):
        raise UsageError("{} is not an {} address", host, _FAMILY_NAMES[family])
    return Target(
        hostname=hostname,
        port=port or (995 if security is Security.IMPLICIT else 110),
        family=family,
        connect_to=connect_to,
        source_address=source,
        all_addresses="--all-addresses" in given,
        min_addresses=given.checked("--min-addresses", validators.whole_number),
    )


def _family(given: Given, source: str | None) -> Family:
    """Return the address family that `-4`, `-6` or the source address selects."""
    family = given.selected(_FAMILIES, Family.ANY)
    if source is None:
        return family
    own = validators.family_of(source)
    if family not in (Family.ANY, own):
        raise UsageError(
            "{} {} is not of the address family that {} or {} selects",
            *("--source-address", source, "-4", "-6"),
        )
    return own


# --- TLS ---------------------------------------------------------------------------------------


def _tls(given: Given, security: Security, hostname: str) -> TlsPolicy:
    verify = Verify(given.last("--verify") or "full")
    return TlsPolicy(
        security=security,
        verify=verify,
        name=given.checked("--sni", validators.host) or hostname,
        minimum=given.last("--tls-min") or "1.2",
        ca_file=given.checked("--ca-file", validators.path),
        ca_path=given.checked("--ca-path", validators.path),
        client_cert=given.checked("--client-cert", validators.path),
        client_key=given.checked("--client-key", validators.path),
        strict="--x509-strict" in given,
        pins=tuple(map(validators.pin, given.get("--pin", ()))),
    )


def _assertions(given: Given, security: Security) -> Assertions:
    cert_type = given.last("--cert-type")
    if "--refuse-cleartext-login" in given:
        if security is Security.IMPLICIT:
            message = "{} tests the plain-text port: use --starttls instead of {}"
            raise UsageError(message, "--refuse-cleartext-login", "-S")
        if security is Security.PLAIN and "--username" in given:
            message = "a login without TLS and {} cannot be combined"
            raise UsageError(message, "--refuse-cleartext-login")
    return Assertions(
        capabilities=given.checked("--require-capa", validators.capabilities) or (),
        refuses_cleartext="--refuse-cleartext-login" in given,
        tries_cleartext=given.last("--refuse-cleartext-login") == "try",
        resists_injection="--check-starttls-injection" in given,
        rejects_legacy_tls="--reject-legacy-tls" in given,
        issuer=given.checked("--issuer", validators.filled),
        deployed_file=given.checked("--expect-cert-file", validators.path),
        min_key_bits=given.checked("--min-key-bits", validators.whole_number),
        max_validity=given.checked("--max-validity", validators.days),
        cert_types=("rsa", "ecdsa") if cert_type == "both" else (cert_type,) if cert_type else (),
    )


# --- the login ---------------------------------------------------------------------------------

_SOURCES = ("--password-file", "--password-env", "--password-command", "--oauth-token-url")


def _login(given: Given, tls: TlsPolicy) -> Login | None:
    grant = _grant(given)
    sources = [option for option in _SOURCES if option in given]
    if grant and given.last("--auth") not in TOKEN_METHODS:  # of the SMTP login alone
        grant = None
        sources.remove("--oauth-token-url")
    if "--username" not in given:
        if sources:
            raise UsageError("{} needs -U/--username", sources[0])
        if any(given.last(option) for option in OF_MAILBOX):
            raise UsageError("mailbox thresholds need a login: use -U/--username")
        return None
    if len(sources) > 1:
        raise UsageError("use only one of {}, {}, {}, {}", *_SOURCES)
    mechanism = given.last("--auth") or "auto"
    if mechanism == "external":
        if sources:
            message = "{} external needs no password: the client certificate authenticates"
            raise UsageError(message, "--auth")
        if tls.client_cert is None:
            raise UsageError("{} external needs --client-cert", "--auth")
    file, env, command = (given.last(option) for option in _SOURCES[:3])
    if "" in (file, env, command):
        raise UsageError("the value of {}, {} or {} is empty", *_SOURCES[:3])
    username = given.needed("--username", validators.username)
    is_insecure_allowed = "--allow-insecure-login" in given
    is_plain = tls.security is Security.PLAIN
    if not is_insecure_allowed and (is_plain or tls.verify is not Verify.FULL):
        how = () if is_plain else ("--verify", tls.verify.value)
        raise UsageError(
            f"no password is sent {'with {} {}' if how else 'without TLS'}; use -S or --starttls"
            " with --verify full, or --allow-insecure-login",
            *how,
        )
    return Login(username, SecretSource(file, env, command, grant), mechanism, is_insecure_allowed)


def _round_trip(given: Given, target: Target, tls: TlsPolicy) -> RoundTrip | None:
    if "--round-trip-to" not in given:
        return None
    from check_pop3_plus.options import round_trip_builder

    delivery = _pair(given, "delivery-", validators.range_spec)
    return round_trip_builder.build(given, target, tls, _grant(given), delivery)


def _grant(given: Given) -> Grant | None:
    url, client_id = given.last("--oauth-token-url"), given.last("--oauth-client-id")
    secret = given.checked("--oauth-client-secret-file", validators.path)
    refresh = given.checked("--oauth-refresh-token-file", validators.path)
    ca_file = given.checked("--oauth-ca-file", validators.path)
    if url is None:
        if any(option.startswith("--oauth-") for option in given):
            raise UsageError("options --oauth-... need --oauth-token-url")
        return None
    endpoint = validators.https_url(url, "--oauth-token-url")
    # Not implied: only the user knows which of the two the server accepts.
    if not {given.last("--auth"), given.last("--smtp-auth")}.intersection(TOKEN_METHODS):
        raise UsageError("{} needs --auth xoauth2 or --auth oauthbearer", "--oauth-token-url")
    if client_id is None:
        raise UsageError("{} needs --oauth-client-id", "--oauth-token-url")
    if secret is None and refresh is None:
        raise UsageError(
            "{} needs --oauth-client-secret-file or --oauth-refresh-token-file",
            "--oauth-token-url",
        )
    client_id = validators.visible(client_id, "--oauth-client-id")
    scope = given.checked("--oauth-scope", validators.visible)
    return Grant(endpoint, client_id, secret, refresh, scope, ca_file)


# --- states and limits -------------------------------------------------------------------------


def _states(given: Given) -> dict[str, State]:
    states: dict[str, State] = {}
    for option, kind in (("--refuse", Kind.REFUSED), ("--mismatch", Kind.EXPECT)):
        state = given.checked(option, validators.state)
        if state is not None:
            states[kind.value] = state
    for assignment in given.get("--state", ()):
        name, separator, state_name = assignment.partition("=")
        if not separator:
            raise invalid("--state", assignment, "must be KIND=STATE, as refused=ok")
        known = [kind.value for kind in Kind if kind not in LOCAL]
        if name not in known:
            from check_pop3_plus.options import mistakes

            if name in [kind.value for kind in LOCAL]:
                raise UsageError("invalid {}: {} is always UNKNOWN", "--state", name)
            near = mistakes.nearest(name, known)
            if state_name in known:
                near = printable("; did you mean {}={}?", state_name, name)
            message = "invalid {}: unknown kind of failure {}{}"
            raise UsageError(message, "--state", shown(name), near)
        states[name] = validators.state(state_name, "--state")
    return states


def _timeout(given: Given, states: dict[str, State]) -> float:
    value = given.last("--timeout")
    if value is None:
        return Limits.timeout
    seconds, separator, state = value.partition(":")
    if separator:
        states.setdefault(Kind.TIMEOUT.value, validators.state(state, "--timeout"))
    return validators.seconds(seconds, "--timeout")


_LONG_RUNS = ("--diagnose", "--sensitivity", "--rechecks", "--round-trip-to")


def _limits(given: Given, timeout: float) -> Limits:
    rechecks = given.checked("--rechecks", validators.rechecks)
    if rechecks is None:
        sensitivity = given.last("--sensitivity")
        rechecks = SENSITIVITIES[sensitivity] if sensitivity else 0
    run_timeout = given.checked("--run-timeout", validators.seconds)
    if run_timeout is None:
        is_long = any(each in given for each in _LONG_RUNS)
        run_timeout = max(timeout, LONG_RUN_TIMEOUT) if is_long else timeout
    return Limits(min(timeout, run_timeout), run_timeout, rechecks)


# --- thresholds ------------------------------------------------------------------------------


_LEVELS = ("warning", "critical")


def _thresholds(given: Given) -> Thresholds:
    limits = given.checked("--certificate", validators.certificate_limits) or (None, None)
    return Thresholds(
        time=_pair(given, "", validators.range_spec),
        phases=_phases(given),
        messages=_pair(given, "messages-", validators.range_spec),
        size=_pair(given, "size-", validators.size_range),
        newest=_pair(given, "newest-", validators.age_range),
        oldest=_pair(given, "oldest-", validators.age_range),
        certificate_warning=limits[0],
        certificate_critical=limits[1],
    )


def _phases(given: Given) -> dict[str, RangePair]:
    phases: dict[str, RangePair] = {}
    known = [phase.value for phase in MEASURED]
    for level in _LEVELS:
        option = f"--phase-{level}"
        for assignment in given.get(option, ()):
            phase, separator, spec = assignment.partition("=")
            if not separator or phase not in known:
                reason = "must be PHASE=RANGE, with a phase of {}"
                raise invalid(option, assignment, reason, printable(", ".join(known)))
            pair = phases.get(phase, RangePair())
            phases[phase] = pair.replace(**{level: validators.range_spec(spec, option)})
    for phase, pair in phases.items():
        _check_order(pair, "phase-", f"{phase}={pair.warning}", f"{phase}={pair.critical}")
    return phases


def _pair(given: Given, prefix: str, check: Callable[[str, str], str]) -> RangePair:
    names = [f"--{prefix}{level}" for level in _LEVELS]
    pair = RangePair(*(given.checked(name, check) for name in names))
    warning, critical = (given.last(name) or "" for name in names)
    _check_order(pair, prefix, warning, critical, may_be_days="--certificate" not in given)
    return pair


def _check_order(
    pair: RangePair, prefix: str, warning: str, critical: str, may_be_days: bool = False
) -> None:
    """Raise UsageError if a critical upper limit is below the warning one: it wins at once.

    `warning` and `critical` are the values as written.
    """
    warn, crit = validators.upper_limit(pair.warning), validators.upper_limit(pair.critical)
    if warn is None or crit is None or crit >= warn:
        return
    low, high = (f"--{prefix}{level}" for level in _LEVELS)
    cure = printable("did you mean {} {} {} {}?", low, critical, high, warning)
    # As of `-w 60 -c 14`: nobody waits longer than a week for seconds.
    is_plain = not prefix and warning.isdigit() and critical.isdigit()
    if may_be_days and is_plain and crit >= LEAST_DAYS:
        cure = printable("response times in seconds; meant as days? -D {},{}", warning, critical)
    raise UsageError("{} {} is below {} {}; {}", high, critical, low, warning, cure)


LEAST_DAYS = 7
"""Two limits from here on, the lower one critical, are more likely days than seconds."""


def _notes(given: Given, limits: Limits) -> tuple[Printable, ...]:
    """Return remarks on options that have no effect in this check."""
    idle = [
        printable("{} has no effect without {}", entry.name, entry.idle_without)
        for entry in ENTRIES
        if entry.idle_without
        and _is_of_command_line(given, entry.name)
        and not _is_any_given(given, entry.idle_without)
        # SMTP uses the same trust and versions of TLS.
        and not (entry.idle_without == OF_TLS and {"--smtp-ssl", "--smtp-starttls"} & given.keys())
    ]
    return (*_too_long(given, limits), *idle)


def _is_of_command_line(given: Given, option: str) -> bool:
    """Return whether an option is on the command line; a file may hold what all checks share."""
    return option in given and not isinstance(given.last(option), FromFile)


def _too_long(given: Given, limits: Limits) -> tuple[Printable, ...]:
    """Return a remark on response time limits above the timeout: they can never alert."""
    named = {"-w": given.last("--warning"), "-c": given.last("--critical")}
    ends = [validators.upper_limit(spec) or 0.0 for spec in named.values() if spec]
    if min(ends, default=0.0) <= limits.timeout:
        return ()
    specs = printable(", ".join(f"{flag} {spec}" for flag, spec in named.items() if spec))
    note = "{} can never alert: the timeout (-t) is {} s; certificate days are -D"
    return (printable(note, specs, f"{limits.timeout:g}"),)
