"""SCRAM, by the examples of its RFCs and the test suites of other clients."""

import base64
import hashlib
import hmac
import re
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.sasl import scram
from check_pop3_plus.sasl.exchange import Identity, Malformed, Mechanism, Refused, Responses


def messages(
    algorithm: str, nonce: bytes, username: bytes = b"user", secret: bytes = b"pencil"
) -> Responses:
    return scram.exchange_messages(algorithm, Identity(username, secret, "h", 995), nonce)


SHA_1 = (
    b"fyko+d2lbbFgONRv9qkxdawL",
    b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
    b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
    b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
)
SHA_256 = (
    b"rOprNGfwEbeRWgbNEkqO",
    b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
)
# vlib/crypto/scram conformance_test.v, each checked there against xdg-go/scram, too
OTHER = b"clientnoncevalue"
WHOLE = b"clientnoncevalueservernoncevalue"

NOT_ASCII = (
    "n=ren\xe9".encode(),
    OTHER,
    b"r=" + WHOLE + b",s=c2FsdHNhbHRzYWx0,i=10000",
    b"c=biws,r=" + WHOLE + b",p=NrtHNv7awL5KZ/rOvK46mzfMvAxvk4UiNkTBxGaEK1I=",
    b"v=faJh6FpEnTwYd397AElAHqIB5g5AwZIFNA5uT6Fv2Vo=",
)

EXAMPLES = {
    "RFC 5802 section 5": ("sha1", b"user", b"pencil", b"n=user", *SHA_1),
    "RFC 7677 section 3": ("sha256", b"user", b"pencil", b"n=user", *SHA_256),
    "a name to be escaped": (
        "sha256",
        b"a,b=c",
        b"pencil",
        b"n=a=2Cb=3Dc",
        OTHER,
        b"r=" + WHOLE + b",s=c2FsdHNhbHRzYWx0,i=4096",
        b"c=biws,r=" + WHOLE + b",p=mAxDUCU7uqrX8ugJFx0YeyeR6SpsPh8NwIg3VVhYOPI=",
        b"v=bs9NAJ5oBl5qTt4nBsh+jI8HTkH4f00eDZnDbuCO/NA=",
    ),
    "not ASCII": (
        "sha256",
        "ren\xe9".encode(),
        "p\xe4ssw\xf6rd".encode(),
        *NOT_ASCII,
    ),
    "not ASCII, typed in another way": (  # the same, each accent a character of its own
        "sha256",
        "rene\u0301".encode(),
        "pa\u0308sswo\u0308rd".encode(),
        *NOT_ASCII,
    ),
    "another salt": (
        "sha1",
        b"user",
        b"pencil",
        b"n=user",
        OTHER,
        b"r=" + WHOLE + b",s=c2FsdHNhbHRzYWx0,i=4096",
        b"c=biws,r=" + WHOLE + b",p=gAEjRo87i97AqQag7Xa7LkE/Ohc=",
        b"v=7jImVhD+ep8a6fy+p1OzhHs4ND0=",
    ),
}


@pytest.mark.parametrize("example", EXAMPLES)
def test_scram_follows_published_example(example: str) -> None:
    """The whole exchange, without channel binding, and the server's proof at its end."""
    algorithm, username, secret, name, nonce, first, client_final, server_final = EXAMPLES[example]
    steps = messages(algorithm, nonce, username, secret)

    assert next(steps) == b"n,," + name + b",r=" + nonce
    assert steps.send(first) == client_final
    assert steps.send(server_final) == b""
    with pytest.raises(StopIteration):
        steps.send(b"")


@pytest.mark.parametrize("mechanism", [scram.sha_1, scram.sha_256])
def test_scram_nonce_is_fresh_for_each_login(mechanism: Mechanism) -> None:
    """node-postgres: a repeated nonce allows replays."""
    who = Identity(b"user", b"pencil", "h", 995)

    assert next(mechanism(who)) != next(mechanism(who))


@pytest.mark.parametrize(("mechanism", "length"), [(scram.sha_1, 20), (scram.sha_256, 32)])
def test_scram_proof_has_the_length_of_its_hash(mechanism: Mechanism, length: int) -> None:
    """The nonce has 18 bytes, 24 in base64."""
    steps = mechanism(Identity(b"user", b"pencil", "h", 995))
    nonce = (next(steps) or b"").partition(b",r=")[2]
    answer = steps.send(b"r=" + nonce + b"server," + S + b",i=4096") or b""

    assert len(nonce) == 24
    assert len(base64.b64decode(answer.partition(b",p=")[2])) == length


R, S = b"r=NONCEserver", b"s=QSXCR+Q6sek8bf92"

BAD_FIRST = {
    # MailKit, node-postgres, vlib/crypto/scram, Dovecot's and xdg-go's clients
    "nothing": b"",
    "no message": b"garbage",
    "no nonce": S + b",i=4096",
    "no salt": R + b",i=4096",
    "no iterations": R + b"," + S,
    "another order": S + b"," + R + b",i=4096",
    "salt last": R + b",i=4096," + S,
    "another nonce": b"r=asfhajksfhkafhakhafk," + S + b",i=4096",
    "the nonce unchanged": b"r=NONCE," + S + b",i=4096",
    "a part of the nonce": b"r=NON," + S + b",i=4096",
    "the nonce at the end": b"r=serverNONCE," + S + b",i=4096",
    "an empty nonce": b"r=," + S + b",i=4096",
    "a blank in the nonce": b"r=NONCE server," + S + b",i=4096",
    "a comma in the nonce": b"r=NONCE,server," + S + b",i=4096",
    "a control byte in the nonce": b"r=NONCE\x01server," + S + b",i=4096",
    "a nonce that is not ASCII": b"r=NONCE\xc3\xa9," + S + b",i=4096",
    "a line end in the nonce": b"r=NONCE\r\nDELE 1," + S + b",i=4096",
    "an empty salt": R + b",s=,i=4096",
    "a salt that is not base64": R + b",s=not!base64,i=4096",
    "a salt without its padding": R + b",s=W22ZaJ0SNY7soEsUEjb6gQ,i=4096",
    "a salt of padding": R + b",s=====,i=4096",
    "a salt with a tail": R + b",s=W22ZaJ0SNY7soEsUEjb6gQ==AAAA,i=4096",
    "a salt in another alphabet": R + b",s=_-8_-8==,i=4096",
    "no number": R + b"," + S + b",i=abcd",
    "an empty number": R + b"," + S + b",i=",
    "zero": R + b"," + S + b",i=0",
    "less than zero": R + b"," + S + b",i=-4096",
    "a sign": R + b"," + S + b",i=+4096",
    "a leading zero": R + b"," + S + b",i=04096",
    "a blank": R + b"," + S + b",i= 4096",
    "a fraction": R + b"," + S + b",i=4096.0",
    "other digits": R + b"," + S + ",i=\u0664\u0660\u0669\u0666".encode(),
    # Cyrus SASL pull request 815, MongoDB's drivers, vlib/crypto/scram
    "one": R + b"," + S + b",i=1",
    "one too few": R + b"," + S + b",i=4095",
    # irssi pull request 1630, MongoDB DRIVERS-3472, Dovecot
    "one too many": R + b"," + S + b",i=%d" % (scram.MOST_ITERATIONS + 1),
    "work for hours": R + b"," + S + b",i=4294967295",
    "work for ever": R + b"," + S + b",i=" + b"9" * 9000,
    # RFC 5802 section 5.1
    "a demand": b"m=feature," + R + b"," + S + b",i=4096",
    "a demand at the end": R + b"," + S + b",i=4096,m=feature",
    "an extension without a value": R + b"," + S + b",i=4096,x",
    "an extension with a number for its name": R + b"," + S + b",i=4096,1=x",
    "a comma at the end": R + b"," + S + b",i=4096,",
    "a line end at the end": R + b"," + S + b",i=4096\n",
    "its last message": b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
}


@pytest.mark.parametrize("server_first", BAD_FIRST.values(), ids=BAD_FIRST)
def test_scram_invalid_first_message_is_malformed(server_first: bytes) -> None:
    """A foreign nonce, too many or too few iterations, a mandatory extension."""
    steps = messages("sha1", b"NONCE")
    next(steps)

    with pytest.raises(Malformed) as caught:
        steps.send(server_first)
    assert re.fullmatch(
        r"not the first message of a SCRAM server|its nonce does not continue ours"
        r"|not base64|[0-9]+ iterations, where 4096 to 600000 are acceptable",
        str(caught.value),
    )


def server(server_first: bytes, nonce: bytes, secret: bytes = b"pencil") -> bytes:
    """Return the last message of a server that knows the password (RFC 5802 section 3)."""
    fields = dict(field.split(b"=", 1) for field in server_first.split(b","))
    salted = hashlib.pbkdf2_hmac(
        "sha256", secret, base64.b64decode(fields[b"s"]), int(fields[b"i"])
    )
    message = b"n=user,r=" + nonce + b"," + server_first + b",c=biws,r=" + fields[b"r"]
    key = hmac.digest(salted, b"Server Key", "sha256")
    return b"v=" + base64.b64encode(hmac.digest(key, message, "sha256"))


@pytest.mark.parametrize("extensions", [b"", b",x=y", b",x=y=z,A=1", b",t=\xc3\xa9"])
def test_scram_extensions_are_ignored(extensions: bytes) -> None:
    """RFC 5802 section 7; the signatures cover them nevertheless."""
    server_first = R + b"," + S + b",i=4096" + extensions
    steps = messages("sha256", b"NONCE")
    next(steps)
    steps.send(server_first)

    assert steps.send(server(server_first, b"NONCE") + extensions) == b""


def test_scram_most_iterations_are_the_owasp_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """The highest recommendation must be accepted; it is computed in no time here."""
    derived = Mock(return_value=b"x" * 32)
    monkeypatch.setattr(hashlib, "pbkdf2_hmac", derived)
    steps = messages("sha256", b"NONCE")
    next(steps)

    assert (steps.send(R + b"," + S + b",i=600000") or b"").startswith(b"c=biws,r=")
    assert derived.call_args.args[-1] == 600_000


def at_the_end(secret: bytes = b"pencil") -> Responses:
    """Return the exchange of RFC 7677 before the proof of the server."""
    nonce, server_first, _, _ = SHA_256
    steps = messages("sha256", nonce, secret=secret)
    next(steps)
    steps.send(server_first)
    return steps


BAD_FINAL = {
    # MailKit, node-postgres, vlib/crypto/scram
    "nothing": b"",
    "no message": b"garbage",
    "another field": b"x=abcdefg",
    "no proof": b"v=",
    "no base64": b"v=x1",
    "not base64": b"v=not!base64",
    "three bytes": b"v=AAAA",
    "cut": SHA_256[3][:-4],
    "without its padding": SHA_256[3][:-1],
    "zeros": b"v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "one bit": SHA_256[3].replace(b"G4=", b"G5="),
    "the client's own": b"v=" + SHA_256[2].rpartition(b",p=")[2],
    "its first message": SHA_256[1],
    "twice": SHA_256[3] + b"," + SHA_256[3],
    "a demand": SHA_256[3] + b",m=feature",
    "a demand before": b"m=feature," + SHA_256[3],
    "an error, too": SHA_256[3] + b",e=invalid-proof",
    "after an error": b"e=invalid-proof," + SHA_256[3],
    "no error": b"e=",
    "a tail": SHA_256[3] + b",",
    "a line end": SHA_256[3] + b"\n",
    "in lower case": SHA_256[3].lower(),
    "an upper-case name": b"V" + SHA_256[3][1:],
}


@pytest.mark.parametrize("server_final", BAD_FINAL.values(), ids=BAD_FINAL)
def test_scram_wrong_server_proof_is_malformed(server_final: bytes) -> None:
    """A server that does not know the password is detected."""
    with pytest.raises(Malformed) as caught:
        at_the_end().send(server_final)
    assert str(caught.value) in (
        "not the final message of a SCRAM server",
        "the server does not know the password, its signature is wrong",
    )


def test_scram_other_password_changes_server_proof() -> None:
    """vlib/crypto/scram: only the signature proves that the server knows the password."""
    with pytest.raises(Malformed, match="its signature is wrong"):
        at_the_end(b"wrong").send(SHA_256[3])


@pytest.mark.parametrize(
    "code",
    # RFC 5802 section 7, and other values
    ["invalid-proof", "unknown-user", "no-resources", "rate_limit", "has=equals", "caf\xe9"],
)
@pytest.mark.parametrize("extension", [b"", b",x=y"])
def test_scram_error_is_the_reason(code: str, extension: bytes) -> None:
    """RFC 5802 section 5.1: the server then ends the exchange."""
    error = b"e=" + code.encode() + extension
    at_once = messages("sha256", b"NONCE")
    next(at_once)

    for steps in (at_the_end(), at_once):
        with pytest.raises(Refused) as caught:
            steps.send(error)
        assert caught.value.reason == code.encode()
        assert caught.value.answer == b""


@given(st.lists(st.binary(max_size=80), max_size=4))
def test_scram_any_messages_never_succeed_without_password(received: list[bytes]) -> None:
    """A response of one printable line, or an error; never a success."""
    steps = messages("sha256", b"NONCE")
    next(steps)
    for message in (R + b"," + S + b",i=4096", *received):
        try:
            answer = steps.send(message)
        except (Malformed, Refused):
            return
        assert answer is not None
        assert answer.startswith(b"c=biws,r=NONCE")
        assert b"pencil" not in answer


# --- names and passwords ---------------------------------------------------------------------

PREPARED = [
    # RFC 4013 section 3, examples 1 to 5
    ("I\u00adX", "IX"),
    ("user", "user"),
    ("USER", "USER"),
    ("\u00aa", "a"),
    ("\u2168", "IX"),
    # Ruby net-imap test_saslprep.rb, MailKit
    ("foo\u00a0bar", "foo bar"),
    ("foo\u2000bar", "foo bar"),
    ("foo\u3000bar", "foo bar"),
    ("a\u00a0b", "a b"),
    ("\u0627", "\u0627"),
    ("\u0627\u0031\u0627", "\u06271\u0627"),
    ("\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f468\U0001f469\U0001f467"),
    # Unassigned in Unicode 3.2: allowed for a query, and by RFC 8265 for all.
    ("\u0221", "\u0221"),
    ("p\U0001f512", "p\U0001f512"),
]


@pytest.mark.parametrize(("typed", "prepared"), PREPARED)
def test_prepared_maps_equivalent_spellings_to_one(typed: str, prepared: str) -> None:
    """RFC 4013 section 2: mapped and normalised; case counts."""
    assert scram.prepared(typed.encode(), "password") == prepared.encode()


FORBIDDEN = {
    # RFC 4013 section 3, examples 6 and 7
    "\u0007": "RFC 4013 prohibits one of its characters",
    "\u0627\u0031": "it is written in two directions (RFC 3454 section 6)",
    # Ruby net-imap test_saslprep.rb, MailKit SaslMechanismTests.cs
    "\x7f": "RFC 4013 prohibits one of its characters",
    "\ufff9": "RFC 4013 prohibits one of its characters",
    "\ue000": "RFC 4013 prohibits one of its characters",
    "\uf8ff": "RFC 4013 prohibits one of its characters",
    "\U000f0000": "RFC 4013 prohibits one of its characters",
    "\U00100000": "RFC 4013 prohibits one of its characters",
    "\ufffe": "RFC 4013 prohibits one of its characters",
    "\ufffd": "RFC 4013 prohibits one of its characters",
    "\u2ffb": "RFC 4013 prohibits one of its characters",
    "\u200e": "RFC 4013 prohibits one of its characters",
    "\u202c": "RFC 4013 prohibits one of its characters",
    "\U000e0001": "RFC 4013 prohibits one of its characters",
    "\u0627abc\u0627": "it is written in two directions (RFC 3454 section 6)",
    "\u0627123": "it is written in two directions (RFC 3454 section 6)",
    "\u00ad": "nothing is left of it",
}


@pytest.mark.parametrize("mechanism", [scram.sha_1, scram.sha_256])
@pytest.mark.parametrize("typed", FORBIDDEN)
@pytest.mark.parametrize("what", ["user name", "password"])
def test_scram_prohibited_text_is_config(what: str, typed: str, mechanism: Mechanism) -> None:
    """RFC 5802 section 5.1: reported before it costs a login attempt."""
    bad = typed.encode()
    names = (bad, b"pencil") if what == "user name" else (b"user", bad)

    with pytest.raises(ProbeError) as caught:
        next(mechanism(Identity(*names, "h", 995)))
    assert caught.value.kind is Kind.CONFIG
    assert caught.value.message == f"{what} cannot be used with SCRAM: {FORBIDDEN[typed]}"


@pytest.mark.parametrize("data", [b"\xff", b"\xed\xa0\x80", "p\xe4ss".encode("latin-1")])
def test_prepared_not_utf_8_is_config(data: bytes) -> None:
    """RFC 5802 section 2.2; the message does not show the text."""
    with pytest.raises(ProbeError) as caught:
        scram.prepared(data, "password")
    assert caught.value.message == "password cannot be used with SCRAM: it is not UTF-8"


@given(st.text())
def test_prepared_is_total_and_idempotent(typed: str) -> None:
    """Any text is prepared or refused; prepared text does not change."""
    try:
        once = scram.prepared(typed.encode("utf-8", "surrogatepass"), "password")
    except ProbeError:
        return
    assert scram.prepared(once, "password") == once
