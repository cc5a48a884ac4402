"""The exchange that runs a SASL mechanism inside AUTH (RFC 5034), and its failures."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from check_pop3_plus.model.failures import DeadlineExceeded, Kind, ProbeError
from check_pop3_plus.model.sanitised_text import Printable
from check_pop3_plus.pop3.auth import authenticate
from check_pop3_plus.pop3.grammar import (
    COMMAND_LIMIT,
    Command,
    Reply,
    parse_challenge,
    parse_status,
)
from check_pop3_plus.sasl.exchange import Identity
from check_pop3_plus.sasl.mechanisms import MECHANISMS

OK = Reply(True, b"")
ERR = Reply(False, b"no")


def identity(username: bytes = b"user", secret: bytes = b"pencil") -> Identity:
    return Identity(username, secret, "server.example.com", 995)


def raw(line: bytes) -> Reply:
    reply = parse_challenge(line) or parse_status(line)
    assert reply is not None
    return reply


def challenge(data: bytes) -> Reply:
    return raw(b"+ " + base64.b64encode(data))


ASKED = raw(b"+ ")
TOKEN_ERROR = challenge(json.dumps({"status": "invalid_token"}).encode())


def run_exchange(name: str, user: Identity, *replies: Reply) -> tuple[list[bytes], Reply | None]:
    """Return the lines sent, and the final reply where there is one."""
    steps = authenticate(name, MECHANISMS[name], user)
    sent: list[Command] = [next(steps)]
    try:
        for reply in replies:
            sent.append(steps.send(reply))
    except StopIteration as end:
        return [command.wire for command in sent], end.value
    return [command.wire for command in sent], None


def test_initial_response_short_is_in_the_command() -> None:
    """RFC 5034 section 6."""
    sent, end = run_exchange("PLAIN", identity(b"test", b"test"), OK)

    assert sent == [b"AUTH PLAIN AHRlc3QAdGVzdA==\r\n"]
    assert end == OK


@pytest.mark.parametrize(
    ("name", "username", "challenges", "expected"),
    [
        ("LOGIN", b"user", [challenge(b"User Name"), challenge(b"Password")], [True, True, False]),
        # Too long for the command, and without the secret.
        ("SCRAM-SHA-256", b"u" * 255, [ASKED], [True, True]),
        ("PLAIN", b"u" * 255, [ASKED], [True, False]),
        ("PLAIN", b"user", [], [False]),
    ],
)
def test_exchange_knows_which_command_has_the_secret(
    name: str, username: bytes, challenges: list[Reply], expected: list[bool]
) -> None:
    """A refusal before it says nothing about the password."""
    steps = authenticate(name, MECHANISMS[name], identity(username))
    sent = [next(steps), *(steps.send(each) for each in challenges)]

    assert [command.before_secret for command in sent] == expected
    assert all(command.is_auth for command in sent)  # its reply may be a challenge


@pytest.mark.parametrize(
    ("name", "longest"),
    # Base64 comes in fours, so that not every mechanism can reach the limit itself.
    [
        ("PLAIN", 253),
        ("EXTERNAL", 252),
        ("SCRAM-SHA-1", 255),
        ("SCRAM-SHA-256", 253),
        ("OAUTHBEARER", 255),
    ],
)
def test_initial_response_long_waits_for_challenge(name: str, longest: int) -> None:
    """RFC 5034 section 4: 255 bytes with the line end; a longer one waits for `+`."""
    lines = [run_exchange(name, identity(b"u" * n, b"t"), ASKED)[0] for n in range(1, 250)]
    begun = [line for line in lines if line[0] != f"AUTH {name}\r\n".encode()]
    waiting = [line for line in lines if line not in begun]

    assert max(len(opening) for opening, *_ in begun) == longest
    assert min(len(f"AUTH {name} ".encode() + response) for _, response in waiting) == longest + 4


def test_exchange_transcript_masks_responses() -> None:
    """The mechanism is shown, the responses are not."""
    at_once = authenticate("PLAIN", MECHANISMS["PLAIN"], identity())
    in_steps = authenticate("LOGIN", MECHANISMS["LOGIN"], identity())

    assert next(at_once).shown == "AUTH PLAIN ***"
    assert [next(in_steps).shown, in_steps.send(ASKED).shown] == ["AUTH LOGIN", "***"]


def test_response_empty_is_an_empty_line() -> None:
    """RFC 5034 section 4: only an empty initial response is written as `=`."""
    sent, _ = run_exchange("LOGIN", identity(b"", b""), ASKED, ASKED, OK)

    assert sent == [b"AUTH LOGIN\r\n", b"\r\n", b"\r\n"]


def test_initial_response_empty_is_an_equals_sign() -> None:
    """RFC 5034 section 4, curl test 886: a single equals sign."""
    assert run_exchange("EXTERNAL", identity(b""), OK)[0] == [b"AUTH EXTERNAL =\r\n"]


def test_xoauth2_sends_no_initial_response() -> None:
    """Microsoft 365 closes the connection on one, however short it is."""
    sent, end = run_exchange("XOAUTH2", identity(b"user", b"mF_9.B5f-4.1JqM"), ASKED, OK)

    # curl test 870
    assert sent == [
        b"AUTH XOAUTH2\r\n",
        b"dXNlcj11c2VyAWF1dGg9QmVhcmVyIG1GXzkuQjVmLTQuMUpxTQEB\r\n",
    ]
    assert end == OK


TRANSCRIPTS = [
    # curl test 866, challenges of Courier and Exchange, and an empty one
    (
        "LOGIN",
        b"secret",
        [b"+ VXNlcm5hbWU6", b"+ UGFzc3dvcmQ6", b"+OK Login successful"],
        [b"AUTH LOGIN", b"dXNlcg==", b"c2VjcmV0"],
    ),
    (
        "LOGIN",
        b"secret",
        [b"+ VXNlciBOYW1lAA==", b"+ UGFzc3dvcmQA", b"+OK"],
        [b"AUTH LOGIN", b"dXNlcg==", b"c2VjcmV0"],
    ),
    ("LOGIN", b"secret", [b"+", b"+ ", b"+OK"], [b"AUTH LOGIN", b"dXNlcg==", b"c2VjcmV0"]),
    # curl test 867; and with blanks around it
    *(
        (
            "CRAM-MD5",
            b"secret",
            [line, b"+OK Login successful"],
            [b"AUTH CRAM-MD5", b"dXNlciA3MDMxNzI1NTk5ZmRiYjVkNDEyNjg5YWEzMjNlM2UwYg=="],
        )
        for line in (
            b"+ PDE5NzIuOTg3NjU0MzIxQGN1cmw+",
            b"+  PDE5NzIuOTg3NjU0MzIxQGN1cmw+",
            b"+ PDE5NzIuOTg3NjU0MzIxQGN1cmw+ \t",
        )
    ),
    # curl tests 865 and 871, 885
    ("PLAIN", b"secret", [b"+OK Login successful"], [b"AUTH PLAIN AHVzZXIAc2VjcmV0"]),
    ("EXTERNAL", b"", [b"+OK Login successful"], [b"AUTH EXTERNAL dXNlcg=="]),
    # refused at once: Thunderbird's server that only pretends
    (
        "CRAM-MD5",
        b"secret",
        [b"-ERR I just pretended to implement CRAM-MD5"],
        [b"AUTH CRAM-MD5"],
    ),
    ("LOGIN", b"secret", [b"+ ", b"-ERR no such user"], [b"AUTH LOGIN", b"dXNlcg=="]),
]


@pytest.mark.parametrize(("name", "secret", "received", "sent"), TRANSCRIPTS)
def test_exchange_sends_expected_lines(
    name: str, secret: bytes, received: list[bytes], sent: list[bytes]
) -> None:
    """An exchange, line by line, and the reply that ends it."""
    lines, end = run_exchange(name, identity(secret=secret), *(raw(line) for line in received))

    assert lines == [line + b"\r\n" for line in sent]
    assert end == raw(received[-1])


# --- errors in JSON --------------------------------------------------------------------------

# curl tests 889 (without its padding) and 890, byte by byte.
RFC_7628_ERROR = (
    b"eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIiwic2NvcGUiOiJleGFtcGxlX3Njb3BlIiwib3BlbmlkLWNvbmZpZ3Vy"
    b"YXRpb24iOiJodHRwczovL2V4YW1wbGUuY29tLy53ZWxsLWtub3duL29wZW5pZC1jb25maWd1cmF0aW9uIn0"
)


@pytest.mark.parametrize("padding", [b"", b"="])
@pytest.mark.parametrize(("name", "answer"), [("XOAUTH2", b""), ("OAUTHBEARER", b"AQ==")])
def test_oauth_error_is_answered_and_quoted(name: str, answer: bytes, padding: bytes) -> None:
    """RFC 7628 section 3.2.3: the server then ends the exchange."""
    before = [ASKED] if name == "XOAUTH2" else []
    refusal = raw(b"-ERR [AUTH] Authentication failed")

    sent, end = run_exchange(
        name, identity(), *before, raw(b"+ " + RFC_7628_ERROR + padding), refusal
    )

    assert sent[-1] == answer + b"\r\n"
    assert end is not None
    assert not end.ok
    assert end.code == "AUTH"
    assert end.text == (
        b"token refused: invalid_token, scope example_scope - [AUTH] Authentication failed"
    )


def test_scram_error_is_quoted() -> None:
    """RFC 5802 section 5.1."""
    sent, end = run_exchange("SCRAM-SHA-1", identity(), challenge(b"e=no-resources"), raw(b"-ERR"))

    assert sent[-1] == b"\r\n"
    assert end == Reply(False, b"no-resources")


@pytest.mark.parametrize(
    "error",
    [
        ProbeError(Kind.CLOSED, Printable("closed the connection")),
        ProbeError(Kind.GARBLED, Printable("sent data that nothing had asked for")),
        DeadlineExceeded(Kind.TIMEOUT, Printable("no answer")),
    ],
)
def test_refusal_reason_is_kept_after_lost_connection(error: ProbeError) -> None:
    """The reason is known before the connection is lost."""
    steps = authenticate("OAUTHBEARER", MECHANISMS["OAUTHBEARER"], identity())
    next(steps)
    assert not steps.send(TOKEN_ERROR).before_secret

    with pytest.raises(StopIteration) as end:
        steps.throw(error)
    assert end.value.value == Reply(False, b"token refused: invalid_token")


def test_refusal_with_further_challenge_is_cancelled() -> None:
    """Fault 53: `*` is sent, whatever the reply to it."""
    for answer in (ERR, OK, ASKED):
        sent, end = run_exchange("XOAUTH2", identity(), ASKED, TOKEN_ERROR, TOKEN_ERROR, answer)
        assert sent[-2:] == [b"\r\n", b"*\r\n"]
        assert end is not None
        assert not end.ok
        assert end.challenge is None
        assert end.text == b"token refused: invalid_token"


# --- no success without an exchange ----------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "replies"),
    [
        ("LOGIN", [OK]),
        ("LOGIN", [ASKED, OK]),
        ("CRAM-MD5", [OK]),
        ("SCRAM-SHA-1", [OK]),
        ("SCRAM-SHA-1", [challenge(b"e=other-error"), OK]),
        ("XOAUTH2", [OK]),
        ("XOAUTH2", [ASKED, TOKEN_ERROR, OK]),
        ("OAUTHBEARER", [TOKEN_ERROR, OK]),
    ],
)
def test_success_before_end_of_exchange_is_garbled(name: str, replies: list[Reply]) -> None:
    """Fault 55 (Exchange 2003), and a server that skips its own proof or forgets its refusal."""
    with pytest.raises(ProbeError) as caught:
        run_exchange(name, identity(), *replies)
    assert caught.value.kind is Kind.GARBLED
    assert caught.value.message == f"accepted {name} before the exchange was complete"


def test_success_before_initial_response_is_garbled() -> None:
    """Nothing has been proved yet."""
    with pytest.raises(ProbeError, match="before the exchange was complete"):
        run_exchange("PLAIN", identity(secret=b"x" * 200), OK)


def first(nonce: bytes) -> Reply:
    return challenge(b"r=" + nonce + b"server,s=QSXCR+Q6sek8bf92,i=4096")


def test_scram_success_without_server_proof_is_garbled() -> None:
    """RFC 5802 section 5: the server must prove that it knows the password."""
    steps = authenticate("SCRAM-SHA-256", MECHANISMS["SCRAM-SHA-256"], identity())
    opening = base64.b64decode(next(steps).wire.split()[-1])
    steps.send(first(opening.partition(b",r=")[2]))

    with pytest.raises(ProbeError, match="before the exchange was complete"):
        steps.send(OK)


# --- cancelled -------------------------------------------------------------------------------

CANCELLED = [
    # curl test 876, and what else is no base64 (RFC 4648 section 4)
    *(
        ("CRAM-MD5", [raw(b"+ " + line)])
        for line in (
            b"Rubbish",
            b"not base64!",
            b"PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ",
            b"PDE4OTYu Njk3MTcw",
            b"PDE4OTYu\tNjk3",
            b"PDE4OTYu====",
            b"PDE4OTY=Njk3",
            b"PDE4-_Yu",
            b"=",
            b"====",
            b"A",
            b"\xff\xfe",
            b"PDE4\0OTY=",
        )
    ),
    # curl test 891: a bare plus, and an LF
    ("CRAM-MD5", [raw(b"+")]),
    # Dovecot test-sasl-client.c: one challenge too many
    ("PLAIN", [ASKED]),
    ("PLAIN", [challenge(b"x")]),
    ("EXTERNAL", [challenge(b"unexpected\0")]),
    ("LOGIN", [ASKED, ASKED, ASKED]),
    ("CRAM-MD5", [challenge(b"<a@b>"), challenge(b"<a@b>")]),
    ("XOAUTH2", [ASKED, ASKED]),
    # words without base64
    ("LOGIN", [raw(b"+ Username:")]),
    ("LOGIN", [ASKED, raw(b"+ Password:")]),
    # what only an OAuth error may look like: JSON without its padding
    ("LOGIN", [ASKED, raw(b"+ eyJhIjoxfQ")]),
    ("CRAM-MD5", [raw(b"+ eyJhIjoxfQ")]),
    ("XOAUTH2", [raw(b"+ go ahead!")]),
    ("XOAUTH2", [ASKED, raw(b"+ not base64!")]),
    # words where the client begins
    ("XOAUTH2", [TOKEN_ERROR]),
    ("SCRAM-SHA-256", [challenge(b"r=x,s=eA==,i=4096")]),
    ("SCRAM-SHA-256", [challenge(b"\0" * 9000)]),
    # only a JSON object may lack its padding
    ("SCRAM-SHA-256", [raw(b"+ " + base64.b64encode(b"e=other-error").rstrip(b"="))]),
]


@pytest.mark.parametrize("answer", [ERR, OK, ASKED])
@pytest.mark.parametrize(("name", "replies"), CANCELLED)
def test_malformed_challenge_is_cancelled(name: str, replies: list[Reply], answer: Reply) -> None:
    """Fault 53: `*` is sent, and the failure is the same whatever the reply to it."""
    steps = authenticate(name, MECHANISMS[name], identity())
    sent = [next(steps), *(steps.send(reply) for reply in replies)]

    assert sent[-1] == Command(b"*\r\n", Printable("*"))
    with pytest.raises(ProbeError) as caught:
        steps.send(answer)
    assert caught.value.kind is Kind.GARBLED
    assert caught.value.message in {
        f"sent a malformed challenge: {reason}; exchange cancelled"
        for reason in (
            "not base64",
            "empty, so that the answer would be the same every time",
            "one more than this mechanism has",
            "not empty, though it is the client that begins",
            "not the first message of a SCRAM server",
            "its nonce does not continue ours",
        )
    }


@pytest.mark.parametrize("name", ["PLAIN", "OAUTHBEARER", "SCRAM-SHA-1", "EXTERNAL"])
def test_challenge_before_initial_response_must_be_empty(name: str) -> None:
    """Dovecot test-sasl-client.c: the initial response is not sent to another challenge."""
    steps = authenticate(name, MECHANISMS[name], identity(b"u" * 200, b"x" * 200))
    opening = next(steps)

    assert opening.wire == f"AUTH {name}\r\n".encode()
    assert steps.send(challenge(b"ir")).wire == b"*\r\n"
    with pytest.raises(ProbeError, match=r"not empty, though it is the client that begins; "):
        steps.send(ERR)


@pytest.mark.parametrize("name", MECHANISMS)
def test_exchange_lost_connection_raises_its_error(name: str) -> None:
    """Fault 51: at every step but the reply to `*`."""
    replies = [ASKED] * (2 if name == "LOGIN" else 1)
    for made in range(len(replies) + 1):
        steps = authenticate(name, MECHANISMS[name], identity())
        sent = [next(steps), *(steps.send(reply) for reply in replies[:made])]
        lost = ProbeError(Kind.CLOSED, Printable("closed the connection"))
        with pytest.raises(ProbeError) as caught:
            steps.throw(lost)
        assert (caught.value is lost) == (sent[-1].wire != b"*\r\n")


@pytest.mark.parametrize("unpadded", [b"eyJhIjoxfQ", b"eyJzdGF0dXMiOiI0MDEifQ"])
def test_challenge_without_padding_is_accepted_for_json_only(unpadded: bytes) -> None:
    """curl test 889."""
    sent, end = run_exchange("OAUTHBEARER", identity(), raw(b"+ " + unpadded), ERR)

    assert sent[1:] == [b"AQ==\r\n"]
    assert end
    assert end.text.startswith(b"token refused: ")


# --- whatever the server does ----------------------------------------------------------------

CANARY = b"canary-secret"

server_lines = st.one_of(
    st.binary(max_size=60).map(base64.b64encode).map(lambda encoded: b"+ " + encoded),
    st.binary(max_size=60).map(lambda junk: b"+ " + junk),
    st.sampled_from(
        [
            b"+",
            b"+ ",
            b"+OK",
            b"+OK " + CANARY,
            b"-ERR",
            b"-ERR [SYS/TEMP] later",
            b"+ " + base64.b64encode(b"e=other-error"),
            b"+ " + base64.b64encode(b'{"status":"invalid_token"}'),
            b"+ " + base64.b64encode(b"<1896.697170952@postoffice.reston.mci.net>"),
            b"+ " + base64.b64encode(b"v=" + base64.b64encode(bytes(32))),
            b"the client's nonce",
            b"the end of the connection",
        ]
    ),
)

FEWEST_STEPS = {
    "PLAIN": 1,
    "LOGIN": 3,
    "CRAM-MD5": 2,
    "EXTERNAL": 1,
    "XOAUTH2": 2,
    "OAUTHBEARER": 1,
}
"""Replies until a success can be one; SCRAM's cannot come from here."""


@given(
    st.sampled_from(sorted(MECHANISMS)),
    st.sampled_from([CANARY, CANARY * 20]),
    st.lists(server_lines, max_size=6),
)
def test_exchange_any_replies_end_in_reply_or_probe_error(
    name: str, secret: bytes, lines: list[bytes]
) -> None:
    """One line is sent each time, and no secret is shown."""
    steps = authenticate(name, MECHANISMS[name], identity(secret=secret))
    command = next(steps)
    nonce = b""
    if name.startswith("SCRAM") and len(command.wire.split()) == 3:
        nonce = base64.b64decode(command.wire.split()[-1]).partition(b",r=")[2]
    assert len(command.wire) <= COMMAND_LIMIT
    for count, line in enumerate([*lines, b"the end of the connection"], 1):
        assert command.wire.endswith(b"\r\n")
        assert not set(b"\r\n\0") & set(command.wire[:-2])
        assert "canary" not in command.shown
        assert base64.b64encode(CANARY)[:-2].decode() not in command.shown
        try:
            if line == b"the end of the connection":
                command = steps.throw(ProbeError(Kind.CLOSED, Printable("closed")))
            elif line == b"the client's nonce":
                command = steps.send(first(nonce))
            else:
                command = steps.send(raw(line))
        except StopIteration as end:
            reply: Reply = end.value
            assert not reply.ok or count >= FEWEST_STEPS[name]
            assert reply.challenge is None
            return
        except ProbeError as error:
            verdict = error
            break
    assert verdict.kind in (Kind.GARBLED, Kind.CLOSED)
    assert "canary" not in verdict.message
