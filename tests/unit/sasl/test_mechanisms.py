"""The SASL mechanisms, by the examples of the RFCs and the test suites of other clients."""

import pytest

from check_pop3_plus.model.sanitised_text import sanitise
from check_pop3_plus.sasl.exchange import Identity, Malformed, Mechanism, Refused, Responses
from check_pop3_plus.sasl.mechanisms import MECHANISMS

TOKEN = b"mF_9.B5f-4.1JqM"


def identity(username: bytes = b"user", secret: bytes = b"pencil", port: int = 995) -> Identity:
    return Identity(username, secret, "server.example.com", port)


def responses(steps: Responses, *challenges: bytes) -> list[bytes | None]:
    return [next(steps), *(steps.send(challenge) for challenge in challenges)]


EXCHANGES: list[tuple[str, Identity, list[bytes], list[bytes | None]]] = [
    # RFC 4616 section 4
    ("PLAIN", identity(b"tim", b"tanstaaftanstaaf"), [], [b"\0tim\0tanstaaftanstaaf"]),
    # Go net/smtp, Dovecot test-sasl-client.c, MailKit, Ruby net-imap
    ("PLAIN", identity(b"user", b"pass"), [], [b"\0user\0pass"]),
    ("PLAIN", identity(b"testuser", b"testpassword"), [], [b"\0testuser\0testpassword"]),
    # aiosmtplib: bytes are sent unchanged, prepared by the server (RFC 4616 section 2)
    (
        "PLAIN",
        identity("f\xf8\xf8".encode(), "b\xe4r\u20ac".encode()),
        [],
        [b"\0f\xc3\xb8\xc3\xb8\0b\xc3\xa4r\xe2\x82\xac"],
    ),
    ("PLAIN", identity(b"\xc0\xd2", b"\xe4\xb7\xc2"), [], [b"\0\xc0\xd2\0\xe4\xb7\xc2"]),
    # draft-murchison-sasl-login; challenges of Courier and Exchange, none, and invalid ones
    ("LOGIN", identity(), [b"User Name\0", b"Password\0"], [None, b"user", b"pencil"]),
    ("LOGIN", identity(), [b"Username:", b"Password:"], [None, b"user", b"pencil"]),
    ("LOGIN", identity(), [b"username?", b"password?"], [None, b"user", b"pencil"]),
    ("LOGIN", identity(), [b"", b""], [None, b"user", b"pencil"]),
    ("LOGIN", identity(), [b"Password:", b"Username:"], [None, b"user", b"pencil"]),
    # RFC 2195 section 2
    (
        "CRAM-MD5",
        identity(b"tim", b"tanstaaftanstaaf"),
        [b"<1896.697170952@postoffice.reston.mci.net>"],
        [None, b"tim b913a602c7eda7a495b4e6e7334d3890"],
    ),
    # MailKit SaslMechanismCramMd5Tests.cs
    (
        "CRAM-MD5",
        identity(b"joe", b"tanstaaftanstaaf"),
        [b"<1896.697170952@postoffice.example.net>"],
        [None, b"joe 3dbc88f0624776a737b39093f6eb6427"],
    ),
    # Go net/smtp smtp_test.go
    (
        "CRAM-MD5",
        identity(b"user", b"pass"),
        [b"<123456.1322876914@testserver>"],
        [None, b"user 287eb355114cf5c471c26a875f1ca4ae"],
    ),
    # curl test 867
    (
        "CRAM-MD5",
        identity(b"user", b"secret"),
        [b"<1972.987654321@curl>"],
        [None, b"user 7031725599fdbb5d412689aa323e3e0b"],
    ),
    # Ruby net-imap: no message identifier, which the usual clients accept
    (
        "CRAM-MD5",
        identity(b"username", b"password"),
        [b"fake-server-challence-string"],
        [None, b"username e2ce8ff3d1b914ddf339aa9f55198f86"],
    ),
    # RFC 2202 section 2, test 6: a key longer than a block of MD5
    (
        "CRAM-MD5",
        identity(b"user", b"\xaa" * 80),
        [b"Test Using Larger Than Block-Size Key - Hash Key First"],
        [None, b"user 6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd"],
    ),
    # curl tests 884 to 886, Dovecot test-sasl-client.c
    ("EXTERNAL", identity(b"testuser", b""), [], [b"testuser"]),
    ("EXTERNAL", identity(b"", b""), [], [b""]),
    # Google's and Microsoft's documents; curl test 870, Ruby net-imap, Dovecot
    (
        "XOAUTH2",
        identity(b"someuser@example.com", b"ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg"),
        [b""],
        [
            None,
            b"user=someuser@example.com\1"
            b"auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg\1\1",
        ],
    ),
    (
        "XOAUTH2",
        identity(b"user", TOKEN),
        [b""],
        [None, b"user=user\1auth=Bearer " + TOKEN + b"\1\1"],
    ),
    # RFC 7628 section 4.1; go-sasl, MailKit
    (
        "OAUTHBEARER",
        identity(b"user@example.com", b"vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==", 143),
        [],
        [
            b"n,a=user@example.com,\1host=server.example.com\1port=143\1"
            b"auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\1\1"
        ],
    ),
    # RFC 5801 section 4: a name is written as in SCRAM
    (
        "OAUTHBEARER",
        identity(b"a,b=c", TOKEN),
        [],
        [
            b"n,a=a=2Cb=3Dc,\1host=server.example.com\1port=995\1auth=Bearer " + TOKEN + b"\1\1",
        ],
    ),
]


@pytest.mark.parametrize(("name", "who", "challenges", "expected"), EXCHANGES)
def test_mechanism_follows_published_example(
    name: str, who: Identity, challenges: list[bytes], expected: list[bytes | None]
) -> None:
    """The responses are those of the RFC or of other clients, and no more."""
    steps = MECHANISMS[name](who)

    assert responses(steps, *challenges) == expected
    with pytest.raises(StopIteration):
        steps.send(b"")


def test_cram_md5_empty_challenge_is_malformed() -> None:
    """curl test 891: the response would be the same for every server."""
    steps = MECHANISMS["CRAM-MD5"](identity())
    next(steps)

    with pytest.raises(
        Malformed, match=r"^empty, so that the answer would be the same every time$"
    ):
        steps.send(b"")


@pytest.mark.parametrize("challenge", [b"x", b'{"status":"400"}'])
def test_oauth_first_challenge_must_be_empty(challenge: bytes) -> None:
    """RFC 4422 section 3: a client that begins gets an empty challenge."""
    steps = MECHANISMS["XOAUTH2"](identity())
    next(steps)

    with pytest.raises(Malformed, match=r"^not empty, though it is the client that begins$"):
        steps.send(challenge)


OAUTH_ERRORS = [
    # RFC 7628 section 4.3; curl test 890, go-sasl, MailKit
    (
        b'{"status":"invalid_token","scope":"example_scope",'
        b'"openid-configuration":"https://example.com/.well-known/openid-configuration"}',
        "invalid_token, scope example_scope",
    ),
    # RFC 7628 section 4.4; MailKit
    (
        b'{"status":"invalid_token","schemes":"bearer mac","scope":"https://mail.example.com/"}',
        "invalid_token, scope https://mail.example.com/",
    ),
    # Dovecot test-sasl-client.c, Gmail
    (b'{"status":"401","schemes":"bearer","scope":"mail"}', "401, scope mail"),
    (b'{"status":"400","schemes":"Bearer"}', "400"),
    # RFC 6749 section 5.2, which some servers pass on
    (
        b'{"error":"invalid_grant","error_description":"the token has expired"}',
        "invalid_grant, the token has expired",
    ),
    (b'\xef\xbb\xbf{"status":"invalid_token"}', "invalid_token"),
    ('{"status":"x"}'.encode("utf-16"), "x"),
    (b'{"status":401}', "401"),
    # Not the object that it should be.
    (b"[1]", "[1]"),
    (b"null", "null"),
    (b'"x"', "?x?"),
    (b"{}", "{}"),
    (b'{"status":null}', "{?status?:null}"),
    (b'{"status":{"a":[1]}}', "{?status?:{?a?:[1]}}"),
    (b'{"status":', "{?status?:"),
    (b"nonsense", "nonsense"),
    (b"[" * 100_000, "[[["),
    (b'{"a":' * 100_000, "{?a?:"),
    (b"9" * 9000, "999"),
    (b"\xff|", "??"),
    (b'{"status":"\\ud800"}', "?"),
    (b'{"status":"a\\r\\nkind: ok | time=0s"}', "a??kind: ok ? time=0s"),
]


@pytest.mark.parametrize(("name", "answer"), [("XOAUTH2", b""), ("OAUTHBEARER", b"\1")])
@pytest.mark.parametrize(
    ("error", "reason"), OAUTH_ERRORS, ids=[repr(error[:40]) for error, _ in OAUTH_ERRORS]
)
def test_oauth_error_gives_reason_and_final_response(
    name: str, answer: bytes, error: bytes, reason: str
) -> None:
    """Fault 54: the reason is quoted, and the response lets the server end the exchange."""
    steps = MECHANISMS[name](identity())
    next(steps)
    if name == "XOAUTH2":
        steps.send(b"")

    with pytest.raises(Refused) as caught:
        steps.send(error)
    assert caught.value.answer == answer
    assert sanitise(caught.value.reason).startswith(f"token refused: {reason}")


@pytest.mark.parametrize("mechanism", MECHANISMS.values(), ids=MECHANISMS)
def test_mechanism_endless_challenges_end(mechanism: Mechanism) -> None:
    """Fault 53: each mechanism has a fixed number of challenges."""
    steps = mechanism(identity())
    next(steps)

    with pytest.raises((StopIteration, Malformed, Refused)):
        for _ in range(4):
            steps.send(b"x")
