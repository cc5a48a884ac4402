"""The mechanisms, by the examples of the documents that define them; and their framing."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from check_pop3_plus import sasl
from check_pop3_plus.failures import Kind, ProbeError
from check_pop3_plus.pop3 import Command, Reply, parse_challenge, parse_status
from check_pop3_plus.sasl import Identity, Malformed, Refused
from check_pop3_plus.text import clean

OK = Reply(True, b"")
ERR = Reply(False, b"no")


def identity(username: bytes = b"user", secret: bytes = b"pencil") -> Identity:
    return Identity(username, secret, "server.example.com", 995, b"")


def responses(steps: sasl.Responses, *challenges: bytes) -> list[bytes | None]:
    return [next(steps), *(steps.send(challenge) for challenge in challenges)]


# --- examples --------------------------------------------------------------------------------


def test_plain() -> None:
    """RFC 4616 section 4."""
    assert responses(sasl.plain(identity(b"tim", b"tanstaaftanstaaf"))) == [
        b"\0tim\0tanstaaftanstaaf"
    ]


def test_login() -> None:
    """draft-murchison-sasl-login."""
    steps = sasl.login(identity())

    assert responses(steps, b"User Name\0", b"Password\0") == [None, b"user", b"pencil"]


def test_cram_md5() -> None:
    """RFC 2195 section 2."""
    steps = sasl.cram_md5(identity(b"tim", b"tanstaaftanstaaf"))

    assert responses(steps, b"<1896.697170952@postoffice.reston.mci.net>") == [
        None,
        b"tim b913a602c7eda7a495b4e6e7334d3890",
    ]


SCRAM = {
    # RFC 5802 section 5
    "sha1": (
        b"fyko+d2lbbFgONRv9qkxdawL",
        b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ),
    # RFC 7677 section 3
    "sha256": (
        b"rOprNGfwEbeRWgbNEkqO",
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ),
}


@pytest.mark.parametrize("algorithm", SCRAM)
def test_scram(algorithm: str) -> None:
    """RFC 5802 section 5, RFC 7677 section 3; the server's signature is verified."""
    nonce, server_first, client_final, server_final = SCRAM[algorithm]
    steps = sasl._scram(algorithm, identity(), nonce)

    assert responses(steps, server_first, server_final) == [
        b"n,,n=user,r=" + nonce,
        client_final,
        b"",
    ]


@pytest.mark.parametrize(
    "server_final", [b"", b"v=", b"v=AAAA", b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5="]
)
def test_scram_refuses_a_server_that_does_not_know_the_password(server_final: bytes) -> None:
    """Or anybody could pass for it."""
    nonce, server_first, _, _ = SCRAM["sha256"]
    steps = sasl._scram("sha256", identity(), nonce)
    responses(steps, server_first)

    with pytest.raises(Malformed):
        steps.send(server_final)


@pytest.mark.parametrize(
    "server_first",
    [
        b"",
        b"r=NONCE,s=QSXCR+Q6sek8bf92,i=4096",  # nothing of the server's own
        b"r=OTHER123,s=QSXCR+Q6sek8bf92,i=4096",
        b"r=NONCE1,s=QSXCR+Q6sek8bf92,i=0",
        b"r=NONCE1,s=QSXCR+Q6sek8bf92,i=999999999",
        b"r=NONCE1,s=,i=4096",
        b"r=NONCE1,s=====,i=4096",
        b"m=x,r=NONCE1,s=QSXCR+Q6sek8bf92,i=4096",
        b"r=NONCE1,s=QSXCR+Q6sek8bf92,i=4096\n",
    ],
)
def test_scram_refuses_a_hostile_first_message(server_first: bytes) -> None:
    """A nonce that is not ours, work for hours, an extension that must be understood."""
    steps = sasl._scram("sha1", identity(), b"NONCE")
    responses(steps)

    with pytest.raises(Malformed):
        steps.send(server_first)


def test_scram_names_are_escaped_and_prepared() -> None:
    """RFC 5802 section 5.1; RFC 4013: one password, however it is typed."""
    steps = sasl._scram("sha1", identity(b"a=b,c"), b"N")

    assert next(steps) == b"n,,n=a=3Db=2Cc,r=N"
    assert sasl._prepared("I\u00adX".encode()) == b"IX"
    assert sasl._prepared("\u2168".encode()) == b"IX"
    assert sasl._prepared("a\u00a0b".encode()) == b"a b"
    assert sasl._prepared(b"\xff") == b"\xff"


def test_xoauth2() -> None:
    """Google's and Microsoft's documents."""
    steps = sasl.xoauth2(identity(b"someuser@example.com", b"ya29.vF9dft4qmTc2Nvb3RlckBh"))

    assert responses(steps) == [
        b"user=someuser@example.com\1auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBh\1\1"
    ]


def test_oauthbearer() -> None:
    """RFC 7628 section 4.1."""
    who = Identity(
        b"user@example.com", b"vF9dft4qmTc2Nvb3RlckBhbHR", "server.example.com", 143, b""
    )

    assert responses(sasl.oauthbearer(who)) == [
        b"n,a=user@example.com,\1host=server.example.com\1port=143\1"
        b"auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHR\1\1"
    ]


@pytest.mark.parametrize(("mechanism", "answer"), [(sasl.xoauth2, b""), (sasl.oauthbearer, b"\1")])
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (b'{"status":"invalid_token","scope":"mail"}', "token refused: invalid_token, mail"),
        (b'{"status":"401","schemes":"bearer"}', "token refused: 401"),
        (b"[1]", "token refused: [1]"),
        (b"[" * 100000, "token refused: [[["),
        (b"\xff|", "token refused: ??"),
    ],
)
def test_oauth_errors_are_told_in_words(
    mechanism: sasl.Mechanism, answer: bytes, error: bytes, reason: str
) -> None:
    """Fault 54."""
    steps = mechanism(identity())
    next(steps)

    with pytest.raises(Refused) as caught:
        steps.send(error)
    assert caught.value.answer == answer
    assert clean(caught.value.reason).startswith(reason)


# --- framing ---------------------------------------------------------------------------------


def challenge(data: bytes) -> Reply:
    reply = parse_challenge(b"+ " + base64.b64encode(data))
    assert reply is not None
    return reply


def played(name: str, who: Identity, *replies: Reply) -> tuple[list[bytes], Reply | None]:
    """Return the lines sent, and the final reply where there is one."""
    steps = sasl.exchange(name, sasl.MECHANISMS[name], who)
    sent: list[Command] = [next(steps)]
    try:
        for reply in replies:
            sent.append(steps.send(reply))
    except StopIteration as end:
        return [command.wire for command in sent], end.value
    return [command.wire for command in sent], None


def test_an_initial_response_where_it_fits() -> None:
    """RFC 5034 section 4."""
    sent, end = played("PLAIN", identity(b"test", b"test"), OK)

    assert sent == [b"AUTH PLAIN AHRlc3QAdGVzdA==\r\n"]
    assert end == OK


def test_a_long_initial_response_waits_for_its_challenge() -> None:
    """255 octets with the line's end (RFC 2449 section 4); Microsoft wants two steps anyway."""
    asked = Reply(False, b"", challenge=b"")
    fits, _ = played("PLAIN", identity(b"u", b"x" * 177), OK)
    waits, end = played("PLAIN", identity(b"u", b"x" * 178), asked, OK)

    assert len(fits[0]) == 253
    assert waits == [b"AUTH PLAIN\r\n", base64.b64encode(b"\0u\0" + b"x" * 178) + b"\r\n"]
    assert end == OK


def test_an_empty_initial_response_is_written_out() -> None:
    """RFC 5034 section 4: a single equals sign."""
    assert played("EXTERNAL", identity(b""), OK)[0] == [b"AUTH EXTERNAL =\r\n"]


def test_where_the_server_speaks_first() -> None:
    """LOGIN and CRAM-MD5."""
    sent, end = played("LOGIN", identity(), challenge(b"User"), challenge(b"Pass"), OK)

    assert sent == [b"AUTH LOGIN\r\n", b"dXNlcg==\r\n", b"cGVuY2ls\r\n"]
    assert end == OK


def test_an_oauth_error_is_answered_and_ends_in_words() -> None:
    """The server then ends the exchange itself."""
    error = challenge(json.dumps({"status": "invalid_token"}).encode())

    sent, end = played("XOAUTH2", identity(), error, ERR)

    assert sent[-1] == b"\r\n"
    assert end is not None
    assert end.text == b"no - token refused: invalid_token"
    assert not end.ok


@pytest.mark.parametrize(
    ("name", "replies"),
    [
        ("LOGIN", [OK]),
        ("LOGIN", [challenge(b"User"), OK]),
        ("CRAM-MD5", [OK]),
        ("SCRAM-SHA-1", [OK]),
        ("XOAUTH2", [challenge(b'{"status":"x"}'), OK]),
    ],
)
def test_a_success_that_comes_too_early(name: str, replies: list[Reply]) -> None:
    """Fault 55 (Exchange 2003), and a server that skips its own proof."""
    with pytest.raises(ProbeError, match="before the exchange was complete") as caught:
        played(name, identity(), *replies)
    assert caught.value.kind is Kind.GARBLED


@pytest.mark.parametrize(
    ("name", "replies"),
    [
        ("CRAM-MD5", [Reply(False, b"", challenge=b"not base64!")]),
        ("PLAIN", [challenge(b"x")]),
        ("LOGIN", [challenge(b"a"), challenge(b"b"), challenge(b"c")]),
        ("SCRAM-SHA-256", [challenge(b"r=x,s=eA==,i=1")]),
    ],
)
def test_a_bad_challenge_is_cancelled(name: str, replies: list[Reply]) -> None:
    """Fault 53: `*`, and the verdict whatever the answer to that is."""
    steps = sasl.exchange(name, sasl.MECHANISMS[name], identity())
    sent = [next(steps), *(steps.send(reply) for reply in replies)]

    assert sent[-1].wire == b"*\r\n"
    with pytest.raises(ProbeError, match="malformed challenge") as caught:
        steps.send(ERR)
    assert caught.value.kind is Kind.GARBLED


@given(st.sampled_from(sorted(sasl.MECHANISMS)), st.lists(st.binary(max_size=60), max_size=6))
def test_no_server_makes_a_mechanism_fail(name: str, challenges: list[bytes]) -> None:
    """Whatever is asked: an answer, an end, or a verdict; and no password in what is shown."""
    steps = sasl.exchange(name, sasl.MECHANISMS[name], identity(secret=b"canary-secret"))
    command = next(steps)
    for asked in challenges:
        assert "canary" not in command.shown
        assert base64.b64encode(b"canary-secret").decode() not in command.shown
        try:
            command = steps.send(parse_challenge(b"+ " + asked) or OK)
        except (ProbeError, StopIteration) as end:
            kind = getattr(end, "kind", Kind.GARBLED)
            break
    else:
        return
    assert kind is Kind.GARBLED


@pytest.mark.parametrize(
    ("line", "found"),
    [(b"+", b""), (b"+ ", b""), (b"+ abcd", b"abcd"), (b"+OK", None), (b"+abcd", None)],
)
def test_challenges(line: bytes, found: bytes | None) -> None:
    """RFC 5034 section 4; `+OK` is a status, not a question."""
    reply = parse_challenge(line)

    assert (reply.challenge if reply else None) == found
    assert (parse_status(line) is not None) == (line == b"+OK")
