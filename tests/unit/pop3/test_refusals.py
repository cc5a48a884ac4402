"""The words of servers that refuse service."""

import pytest

from check_pop3_plus.model.failures import Kind
from check_pop3_plus.pop3.grammar import parse_status
from check_pop3_plus.pop3.refusals import blanked, service_kind


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"-ERR No required SSL certificate", Kind.CLIENT_CERTIFICATE),
        (b"-ERR the SSL certificate error", Kind.CLIENT_CERTIFICATE),
        (b"-ERR A valid client certificate is required", Kind.CLIENT_CERTIFICATE),
        (b"-ERR [SYS/TEMP] No required SSL certificate", Kind.GREETING_TEMPORARY),
        (b"-ERR [SYS/PERM] certificate required", Kind.GREETING),
        (b"-ERR [SYS/TEMPLE] x", Kind.GREETING),
        (b"-ERR certificate-required.example.test is closed", Kind.GREETING),
        (b"-ERR certificates of merit", Kind.GREETING),
        (b"-ERR go away", Kind.GREETING),
        (b"-ERR", Kind.GREETING),
    ],
)
def test_service_kind_follows_code_then_words(line: bytes, kind: Kind) -> None:
    """A response code of the family SYS wins over the words."""
    reply = parse_status(line)

    assert reply is not None
    assert service_kind(reply) is kind


@pytest.mark.parametrize(
    "text", [b"for cert", b"for CERT.", b"see https://cert/x", b"a@cert", b"at cert.example.test"]
)
def test_blanked_text_lacks_names(text: bytes) -> None:
    """Names of users and hosts, and URLs, are no words of the server."""
    assert b"cert" not in blanked(text, ["cert"]).lower()


def test_blanked_text_keeps_longer_words() -> None:
    """A name is blanked only where it is a whole word."""
    assert b"certificate" in blanked(b"certificate", ["cert"])
