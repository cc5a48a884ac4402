"""The settings of a sweep, and which options cannot be combined."""

from operator import attrgetter

import pytest

from check_pop3_plus.model.settings import (
    Assertions,
    CommandFile,
    Expectation,
    Family,
    HttpsEndpoint,
    IcingaApi,
    JsonLines,
    MetricsFile,
    SubmitTarget,
    Sweep,
    Verify,
)
from check_pop3_plus.options import parser, settings_builder
from check_pop3_plus.options.validators import UsageError
from tests.support.settings_from import check_settings

LOGIN = ("-S", "-U", "u", "--password-env", "X")
SWEEP = ("--sweep", "services.ini")
API = ("--submit", "icinga2:https://icinga.example:5665/")
USER = ("--icinga-user", "monitor", "--icinga-password-file", "secret")


def refused(*argv: str) -> str:
    with pytest.raises(UsageError) as caught:
        parser.read(argv)
    return caught.value.message


def test_sweep_has_defaults() -> None:
    """All options but the file are optional; an empty time limit means the default."""
    assert parser.read(SWEEP) == Sweep("services.ini")
    assert parser.read([*SWEEP, "--run-timeout="]) == Sweep("services.ini")
    assert Sweep("f") == Sweep("f", {}, 128, 4, None, 50.0, None, 0)


def test_sweep_passes_options_of_checks_to_all_services() -> None:
    """Its own options are none of them."""
    own = ("--jobs", "5", "--jobs-per-address", "2", "--workers", "3", "--run-timeout", "90")
    checks = ("-vvvv", "-S", "-e", "one", "-e", "two")

    common = {"--verbose": [""] * 4, "--ssl": [""], "--expect": ["one", "two"]}
    expected = Sweep("services.ini", common, 5, 2, 3, 90.0, JsonLines(), verbosity=3)
    assert parser.read([*SWEEP, *own, *checks, "--submit", "jsonl:-"]) == expected


@pytest.mark.parametrize(
    ("argv", "target"),
    [
        (("--submit", "jsonl:-"), JsonLines()),
        (("--submit", "nagios:/run/nagios.cmd"), CommandFile("/run/nagios.cmd")),
        (("--submit", "prometheus:/var/x.prom"), MetricsFile("/var/x.prom")),
        (
            (*API, *USER, "--icinga-ca-file", "ca.pem"),
            IcingaApi(
                HttpsEndpoint("icinga.example", 5665, "/"), "monitor", "secret", "ca.pem"
            ),
        ),
    ],
)  # fmt: skip
def test_submit_value_selects_the_target(argv: tuple[str, ...], target: SubmitTarget) -> None:
    """The part before the colon names it, the rest is its place."""
    sweep = parser.read([*SWEEP, *argv])

    assert isinstance(sweep, Sweep)
    assert sweep.submit_target == target


FORMS = "must be icinga2:URL, nagios:FILE, prometheus:FILE or jsonl:-"
API_NEEDS = "--submit icinga2:URL needs --icinga-user and --icinga-password-file"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("-H", "x"), "--hostname and --sweep cannot be combined: the file of the sweep names the"
         " hosts"),
        (("--output", "json"), "--output and --sweep cannot be combined: use --submit jsonl:- or"
         " prometheus:FILE"),
        (("--submit", "x:y"), f"invalid --submit x:y: {FORMS}"),
        (("--submit", "nagios:"), f"invalid --submit nagios:: {FORMS}"),
        (("--submit", "prometheus:"), f"invalid --submit prometheus:: {FORMS}"),
        (("--submit", "jsonl:x"), f"invalid --submit jsonl:x: {FORMS}"),
        (("--submit", ""), f"invalid --submit (empty): {FORMS}"),
        (("--submit", "prometheus:x"), "invalid --submit prometheus:x: must end in .prom:"
         " node_exporter reads no other file"),
        (("--submit", "nagios:$x$"), "invalid --submit: contains an unresolved macro"),
        (("--submit", "prometheus:$x$.prom"), "invalid --submit: contains an unresolved macro"),
        (("--submit", "jsonl:-", "--submit", "jsonl:-"), "--submit jsonl:- is one too many: it can"
         " be given only once"),
        (("--submit", "icinga2"), "invalid --submit icinga2: must be icinga2:URL, nagios:FILE,"
         " prometheus:FILE or jsonl:-"),
        (("--submit", "icinga2:http://x", *USER), "invalid --submit icinga2:URL: must begin with"
         " https://"),
        (API, API_NEEDS),
        ((*API, *USER[:2]), API_NEEDS),
        ((*API, *USER[2:]), API_NEEDS),
        ((*API, *USER, "--icinga-user", "a:b"), "invalid --icinga-user a:b: must not contain a"
         " colon (RFC 7617 section 2)"),
        ((*API, *USER, "--icinga-user", "\xe4"), "invalid --icinga-user: must be visible ASCII and"
         " not empty"),
        ((*API, *USER, "--icinga-password-file", "$x$"), "invalid --icinga-password-file: contains"
         " an unresolved macro"),
        ((*API, *USER, "--icinga-ca-file", ""), "invalid --icinga-ca-file: empty, or not a path"),
        (("-S", *USER), "options --icinga-... need --submit icinga2:URL"),
        (("--submit", "jsonl:-", *USER), "options --icinga-... need --submit icinga2:URL"),
        (("--jobs", "0"), "invalid --jobs 0: must be a whole number from 1 to 99999"),
        (("--run-timeout", "0"), "invalid --run-timeout 0: must be a number of seconds, above 0"
         " and at most 3600"),
    ],
)  # fmt: skip
def test_sweep_option_invalid_is_refused(argv: tuple[str, ...], message: str) -> None:
    """The whole message."""
    assert refused(*SWEEP, *argv) == message


@pytest.mark.parametrize(
    ("argv", "field", "value"),
    [
        (("--connect-to", "h."), "target.connect_to", "h"),
        (("--source-address", "::1"), "target.source_address", "::1"),
        (("--all-addresses",), "target.all_addresses", True),
        ((), "target.all_addresses", False),
        (("--all-addresses", "--min-addresses", "2"), "target.min_addresses", 2),
        (("-4",), "target.family", Family.IPV4),
        (("-6", "--source-address", "::1"), "target.family", Family.IPV6),
        (("--source-address", "::1"), "target.family", Family.IPV6),
        (("-S", "--verify", "chain"), "tls.verify", Verify.CHAIN),
        (("-S",), "tls.name", "h"),
        (("-S", "--sni", "other."), "tls.name", "other"),
        (("-S", "--tls-min", "1.3"), "tls.minimum", "1.3"),
        (("-S", "--ca-file", "f"), "tls.ca_file", "f"),
        (("-S", "--ca-path", "d"), "tls.ca_path", "d"),
        (("-S", "--client-cert", "c", "--client-key", "k"), "tls.client_cert", "c"),
        (("-S", "--client-cert", "c", "--client-key", "k"), "tls.client_key", "k"),
        (("-S", "--x509-strict"), "tls.strict", True),
        (("-S",), "tls.strict", False),
        (("-S", "--pin", f"sha256:{'0A' * 32}"), "tls.pins", ("0a" * 32,)),
        (("--require-capa", "uidl,sasl=plain"), "assertions.capabilities",
         (("UIDL", None), ("SASL", "PLAIN"))),
        (("--refuse-cleartext-login",), "assertions.refuses_cleartext", True),
        (("--refuse-cleartext-login",), "assertions.tries_cleartext", False),
        (("--refuse-cleartext-login=try",), "assertions.tries_cleartext", True),
        (("--starttls", "--check-starttls-injection"), "assertions.resists_injection", True),
        (("-S", "--reject-legacy-tls"), "assertions.rejects_legacy_tls", True),
        (("-S",), "assertions", Assertions()),
        (("-S", "--issuer", "CA"), "assertions.issuer", "CA"),
        (("-S", "--expect-cert-file", "f"), "assertions.deployed_file", "f"),
        (("-S", "--min-key-bits", "2048"), "assertions.min_key_bits", 2048),
        (("-S", "--max-validity", "90d"), "assertions.max_validity", 90),
        (("-S", "--cert-type", "both"), "assertions.cert_types", ("rsa", "ecdsa")),
        (("-S", "--cert-type", "rsa"), "assertions.cert_types", ("rsa",)),
        (("-e", "a", "-e", "b"), "expect", Expectation(("a", "b"), all=False)),
        (("-e", "a", "-A"), "expect", Expectation(("a",), all=True)),
        (("--newest-warning", "1h", *LOGIN), "thresholds.newest.warning", "3600"),
        (("--oldest-critical", "2d", *LOGIN), "thresholds.oldest.critical", "172800"),
        (("--messages-critical", "5", *LOGIN), "thresholds.messages.critical", "5"),
        (("--output", "json"), "command", "check_pop3_plus -H h"),
        (("-p", "1", "-p", "2"), "command", "check_pop3_plus -H h -p 2"),
        (("-vv",), "verbosity", 2),
        (("-vvvv",), "verbosity", 3),
    ],
)  # fmt: skip
def test_option_is_in_its_field(argv: tuple[str, ...], field: str, value: object) -> None:
    """By the name of the field in the settings."""
    assert attrgetter(field)(check_settings(["-H", "h", *argv])) == value


def test_option_of_a_sweep_is_refused_in_its_file() -> None:
    """A sweep in a sweep would never end."""
    given = parser.read_section([("hostname", "h"), ("sweep", "f")])

    with pytest.raises(UsageError, match=r"^--sweep is only allowed on the command line$"):
        settings_builder.settings(given)
