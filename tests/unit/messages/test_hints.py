"""The table of hints."""

from __future__ import annotations

import datetime as dt

import pytest

from check_pop3_plus.messages import hints
from check_pop3_plus.messages.hints import wrong_port
from check_pop3_plus.model.failures import Failure, Kind, Phase
from check_pop3_plus.model.report import Address, CertificateFacts, Chain, Lap, Report, Session
from check_pop3_plus.model.sanitised_text import printable
from check_pop3_plus.model.settings import Security
from tests.pki.certificate_facts import NOW
from tests.support.settings_from import check_settings


def report(*laps: Lap, lifetime: float = 90, left: float = 20) -> Report:
    """Return the report of one session; its certificate has a lifetime and days left."""
    session = Session(Address("192.0.2.1", 995))
    session.timeline.laps += laps
    ends = NOW + dt.timedelta(days=left)
    leaf = CertificateFacts(ends - dt.timedelta(days=lifetime), ends)
    session.chain = Chain((leaf,), path=(leaf,))
    return Report((session,), (session,), None, None, None, NOW.timestamp())


def hint(kind: Kind, phase: Phase | None, argv: str = "", about: Report | None = None) -> str:
    settings = check_settings(f"-H pop.example.test {argv}".split())
    return hints.hint(kind, phase, settings, about or report())


def test_hints_have_a_row_for_every_kind() -> None:
    """A new kind needs a decision on its hint."""
    assert all(hints.explained(kind).split()[0] == kind.value for kind in Kind)


def test_hints_are_for_phases_that_exist() -> None:
    """A row begins with a phase, or with a phase and a security; a rule also with a note."""
    phases = {each.value for each in Phase}
    heads = {where for _, where in hints._table()[1]} | {head for head, *_ in hints._by_words()}

    assert heads <= {"", "note", *phases} | {
        f"{phase} {security.value}" for phase in phases for security in Security
    }


def test_hint_of_a_phase_replaces_the_general_hint() -> None:
    """Other phases, and failures without a phase, get the general hint."""
    assert "-S" in hint(Kind.GARBLED, Phase.GREETING)
    assert (
        hint(Kind.GARBLED, Phase.CAPA)
        == hint(Kind.GARBLED, None)
        == ("a broken server, or a proxy or packet filter that changes the traffic")
    )


def test_hint_without_advice_is_empty() -> None:
    """A threshold that the user set explains itself."""
    assert hint(Kind.MESSAGES, None) == ""


@pytest.mark.parametrize(
    ("kind", "phase", "option"),
    [
        (Kind.TIMEOUT, Phase.GREETING, "-S"),
        (Kind.GARBLED, Phase.GREETING, "-S"),
        (Kind.TIMEOUT, Phase.TLS, "--starttls"),
        (Kind.TLS, Phase.TLS, "--starttls"),
    ],
)
def test_hint_does_not_suggest_an_option_that_is_given(
    kind: Kind, phase: Phase, option: str
) -> None:
    """Advice to try an option is given only without it."""
    other = {"-S": "", "--starttls": "-S"}[option]

    assert f"(try {option})" in hint(kind, phase, other)
    assert f"(try {option})" not in hint(kind, phase, option)


def test_hint_about_a_late_login_names_the_delay_after_failed_ones() -> None:
    """Dovecot delays the logins of a whole network after failed ones."""
    text = hint(Kind.TIMEOUT, Phase.LOGIN)

    assert "delays logins after failed ones" in text
    assert text.endswith("; allow for it with -t 20")
    assert "-t 20" not in hint(Kind.TIMEOUT, Phase.LOGIN, "-t 20")


@pytest.mark.parametrize(
    ("phase", "words"),
    [
        (Phase.RESOLVE, "resolv.conf"),
        (Phase.LOGIN, "delays logins"),
        (Phase.STAT, "3.000 of 3.100 s were spent in phase stat: check the load and the log"),
    ],
)
def test_hint_about_a_slow_session_fits_the_longest_phase(phase: Phase, words: str) -> None:
    """The longest phase decides, not the last."""
    laps = (Lap(phase, 3.0, ok=True), Lap(Phase.CONNECT, 0.1, ok=True))

    text = hint(Kind.SLOW, None, about=report(*laps))
    assert words in text


@pytest.mark.parametrize(
    ("laps", "phase", "words"),
    [
        (((Phase.RESOLVE, 1.0), (Phase.LOGIN, 3.0)), Phase.RESOLVE, "the name servers of this"),
        (((Phase.CONNECT, 1.0), (Phase.LOGIN, 3.0)), Phase.CONNECT, "the network is slow"),
        (((Phase.STAT, 1.0), (Phase.LOGIN, 3.0)), Phase.STAT, "check the load and the log"),
        (((Phase.STAT, 0.009), (Phase.LOGIN, 3.0)), Phase.STAT, "so short a time depends on"),
        (((Phase.STAT, 0.004), (Phase.LOGIN, 0.005)), None, "so short a time depends on"),
        (((Phase.STAT, 0.006), (Phase.CONNECT, 0.005)), None, "0.006 of 0.011 s"),
        (((Phase.STAT, 0.02), (Phase.SMTP, 9.0), (Phase.QUIT, 9.0)), None, "0.020 of 0.020 s"),
        (((Phase.STAT, 0.02), (Phase.SMTP, 9.0)), Phase.SMTP, "check the load and the log"),
        ((), None, "so short a time depends on"),
    ],
)
def test_hint_about_a_slow_phase_fits_the_limit_that_was_exceeded(
    laps: tuple[tuple[Phase, float], ...], phase: Phase | None, words: str
) -> None:
    """A phase with a limit of its own counts, not the longest; no advice follows from a tiny time.

    SMTP and QUIT are not part of the response time.
    """
    about = report(*(Lap(each, seconds, ok=True) for each, seconds in laps))

    assert hint(Kind.SLOW, phase, about=about).startswith(words)


@pytest.mark.parametrize(
    ("argv", "lifetime", "left", "words", "absent"),
    [
        ("-D 60", 90, 50, "the limit of 60 days (-D) is above a third", "due"),
        ("-D 60", 90, 20, "its renewal is due, too", "renew the certificate ("),
        ("-D 60,20", 90, 19, "renew the certificate (", "above a third"),
        ("-D 60", 365, 50, "renew the certificate (", "above a third"),
        ("-D 50%", 90, 40, "the limit of 45 days (-D) is above a third", "due"),
        ("-D 30d/50%", 90, 29, "renew the certificate (", "above a third"),
        ("-D 60", 90, 70, "renew the certificate (", "above a third"),  # an issuer expires
    ],
)
def test_hint_about_an_early_threshold_names_it(
    argv: str, lifetime: float, left: float, words: str, absent: str
) -> None:
    """A limit above a third of the lifetime reports certificates whose renewal is not due."""
    text = hint(Kind.EXPIRING, None, argv, report(lifetime=lifetime, left=left))

    assert words in text
    assert absent not in text


def test_hint_about_a_short_lifetime_has_its_unit() -> None:
    """Certificates of hours are issued by machines."""
    text = hint(Kind.EXPIRING, None, "-D 60", report(lifetime=1 / 24, left=0.02))

    assert "lifetime (1 hour)" in text


@pytest.mark.parametrize(
    ("argv", "is_sent", "words"),
    [
        ("-D 60", False, "replace it in the trust store of this machine"),
        ("-D 60", True, "renew the certificate ("),
        ("-D 80", False, "the limit of 80 days (-D) is above a third"),
        ("-D 4", False, "renew the certificate ("),  # another address has it
    ],
)
def test_hint_about_an_expiring_issuer_knows_where_it_is(
    argv: str, is_sent: bool, words: str
) -> None:
    """A new certificate on the server does not renew a CA in the local trust store."""
    about = report(left=70)
    [session] = about.sessions
    [leaf] = session.chain.sent
    root = CertificateFacts(NOW - dt.timedelta(days=900), NOW + dt.timedelta(days=5))
    sent = (leaf, root) if is_sent else (leaf,)
    session.chain = Chain(sent, path=(leaf, root))

    assert words in hint(Kind.EXPIRING, None, argv, about)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("*.Org", "*.org does not cover this name: a wildcard"),
        ("*.example.org", "*.example.org does not cover this name"),
        ("p*.mail.example.org", "p*.mail.example.org does not cover this name"),
        ("pop.mail.example.org.", "ends with a dot"),
        ("*.example.net", "install a certificate that covers this name"),
        ("imap.mail.example.org", "install a certificate that covers this name"),
    ],
)
def test_hint_about_a_name_that_seems_to_fit_says_why_not(name: str, words: str) -> None:
    """An administrator sees *.lan in the certificate of pop.lan, and no mistake."""
    about = report()
    [session] = about.sessions
    [leaf] = session.chain.sent
    session.chain = Chain((leaf.replace(names=(printable(name),)),))

    assert words in hint(Kind.NAME, Phase.TLS, "-S --sni POP.mail.example.org", about)


@pytest.mark.parametrize(
    ("argv", "kind", "phase", "message", "expected"),
    [
        ("-p 995", Kind.TIMEOUT, Phase.GREETING, "", "port 995 expects TLS: use -S"),
        ("-p 995", Kind.CLOSED, Phase.GREETING, "", ""),
        ("-p 995", Kind.TIMEOUT, Phase.CONNECT, "", ""),
        ("-S", Kind.TIMEOUT, Phase.GREETING, "", ""),
        ("", Kind.TIMEOUT, Phase.GREETING, "", ""),
        (
            "-p 995 --starttls",
            Kind.GARBLED,
            Phase.GREETING,
            "",
            "port 995 expects TLS: use -S in place of --starttls",
        ),
        ("-p 110 -S", Kind.TLS, Phase.TLS, "plain text", "use --starttls on port 110"),
        ("-p 110 -S", Kind.TLS, Phase.TLS, "alert", ""),
        (
            "-p 110 -D 30",
            Kind.TLS,
            Phase.TLS,
            "answers in plain text",
            "use --starttls on port 110 (-D implies -S)",
        ),
    ],
)
def test_wrong_port_names_the_option_of_a_standard_port(
    argv: str, kind: Kind, phase: Phase, message: str, expected: str
) -> None:
    """A standard port without its option is the mistake to name on line 1."""
    settings = check_settings(f"-H pop.example.test {argv}".split())

    assert wrong_port(Failure(kind, phase, printable(message)), settings) == expected


@pytest.mark.parametrize(
    ("phase", "message", "words"),
    [
        (Phase.LOGIN, "user x is locked out: your IP address has been banned", "ignoreip"),
        (Phase.LOGIN, "login of x refused: POP access not permitted", "enable POP access"),
        (Phase.LOGIN, "login of x refused: account does not include POP access", "enable POP"),
        (Phase.LOGIN, "login of x refused: yet to enable POP access", "enable POP access"),
        (Phase.LOGIN, "login of x refused: POP3 access denied for account", "enable POP access"),
        (Phase.LOGIN, "login of x refused: no access rights to this service", "enable POP"),
        (Phase.LOGIN, "login of x refused: Mailbox full, login refused", "raise its quota"),
        (Phase.STAT, "cannot read the mailbox: Disk quota exceeded", "raise its quota"),
        (Phase.LOGIN, "user x is locked out: Too many failures from this address", "ignoreip"),
        (Phase.LOGIN, "login of x rejected: [AUTH] Web login required: x", "log in once in a"),
        (Phase.LOGIN, "login of x rejected: Re-Authentication Failure", "the proxy hides why"),
        (Phase.LOGIN, "login of x rejected: please log in via your web browser", "log in once"),
        (Phase.GREETING, "is not POP3, looks like SSH: SSH-2.0-x", "check -H and -p"),
        (Phase.GREETING, "refuses service: Your IP address 192.0.2.1 is blocked", "ignoreip"),
        (Phase.GREETING, "refuses service: your host is blocked", "ignoreip"),
        (Phase.GREETING, "refuses service: you are on a blacklist", "ignoreip"),
        (Phase.GREETING, "refuses service: too many connections", "limit of connections"),
        (Phase.GREETING, "refuses service: Access denied", "access list"),
        (Phase.GREETING, "refuses service: unauthorized host", "access list"),
        (Phase.GREETING, "refuses service: your network is not allowed", "access list"),
        (Phase.GREETING, "refuses service: You must use TLS", "use -S"),
        (Phase.GREETING, "refuses service: STLS required", "use -S"),
        (Phase.GREETING, "refuses service: SSL first", "use -S"),
        (Phase.GREETING, "no complete answer", "another service"),
        (Phase.STLS, "refuses STLS: TLS not available", "check its certificate"),
        (Phase.STLS, "refuses STLS: Command not permitted when TLS active", "in front"),
        (Phase.STLS, "refuses STLS: already secure", "in front"),
        (Phase.LOGIN, "does not offer USER, PLAIN or LOGIN; its mechanisms: none", "--auth user"),
        (Phase.LOGIN, "does not know this login method: Please use OAuth2", "takes tokens"),
        (None, "server sent unexpected data after the greeting: -ERR bye", "ended the session"),
        (None, "server sent unexpected data after the greeting: * BYE x", "ended the session"),
        (Phase.STAT, "sent unexpected data after the greeting: * BYE x", "ended the session"),
        (
            None,
            "server sent unexpected data after the greeting: -ERR what (PROXY protocol?)",
            "a proxy in front",
        ),
    ],
)
def test_hint_follows_words_of_the_message(phase: Phase | None, message: str, words: str) -> None:
    """What the server says itself is better advice than the kind alone."""
    settings = check_settings(["-H", "pop.example.test"])

    assert words in hints.hint(Kind.GARBLED, phase, settings, report(), message)
    assert words not in hints.hint(Kind.GARBLED, Phase.CAPA, settings, report(), message)


@pytest.mark.parametrize(
    ("words", "argv"), [("You must use TLS", ["-S"]), ("No required SSL certificate", [])]
)
def test_hint_advises_tls_only_where_it_helps(words: str, argv: list[str]) -> None:
    """A proxy may end TLS in front of a server that wants it; a certificate is another matter."""
    settings = check_settings(["-H", "pop.example.test", *argv])

    text = hints.hint(
        Kind.GREETING, Phase.GREETING, settings, report(), f"refuses service: {words}"
    )

    assert text == "the server is up but refuses service; check its log"


@pytest.mark.parametrize(
    ("host", "is_address"),
    [("192.0.2.1", True), ("2001:db8::1", True), ("pop.example.test", False), ("1.test", False)],
)
def test_hint_about_the_name_of_an_address_is_to_check_by_name(host: str, is_address: bool) -> None:
    """Few certificates have addresses; -H is the name, --connect-to the address."""
    settings = check_settings(["-S", "-H", host])

    text = hints.hint(Kind.NAME, Phase.TLS, settings, report())

    assert (f"-H NAME --connect-to {host}" in text) is is_address
    assert text.startswith("install a certificate that covers this name") is not is_address


@pytest.mark.parametrize("option", ["--ca-file", "--ca-path"])
def test_hint_about_an_unknown_issuer_knows_that_a_trust_store_is_given(option: str) -> None:
    """Advice to use --ca-file would be no news."""
    assert "to the given trust store" in hint(Kind.UNTRUSTED, Phase.TLS, f"-S {option} /x")
    assert hint(Kind.UNTRUSTED, Phase.TLS, "-S").endswith("use --ca-file")
