"""The field of each option in the settings."""

from operator import attrgetter

import pytest

from check_pop3_plus.model.settings import (
    Assertions,
    Expectation,
    Family,
    Verify,
)
from check_pop3_plus.options import parser, settings_builder
from check_pop3_plus.options.validators import UsageError
from tests.support.settings_from import check_settings

LOGIN = ("-S", "-U", "u", "--password-env", "X")


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
