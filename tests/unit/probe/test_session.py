"""A session on a stream with scripted input, without a socket."""

import base64
from collections.abc import Sequence
from pathlib import Path
from ssl import DER_cert_to_PEM_cert
from typing import Any

import pytest

from check_pop3_plus.certificate import reader
from check_pop3_plus.model import sanitised_text
from check_pop3_plus.model.failures import (
    DeadlineExceeded,
    Kind,
    Phase,
    ProbeError,
)
from check_pop3_plus.model.report import Address, MailboxFacts, Session, TlsFacts
from check_pop3_plus.model.sanitised_text import Printable
from check_pop3_plus.model.settings import (
    Login,
    Secret,
    SecretSource,
    Security,
    Settings,
    Target,
    TlsPolicy,
    Verify,
)
from check_pop3_plus.net.tls import context
from check_pop3_plus.net.tls_errors import CertificateRejected
from check_pop3_plus.net.transport import Stream
from check_pop3_plus.pop3 import grammar
from check_pop3_plus.probe import connection as connection_module
from check_pop3_plus.probe import session as session_module
from check_pop3_plus.probe.connection import Connection, quit_session, read_greeting
from check_pop3_plus.probe.prerequisites import Prerequisites
from check_pop3_plus.support.deadline import Clock, Deadline
from check_pop3_plus.support.masking import Masker, can_mask
from tests.pki.certificates import Pki

HOST = "pop.example.test"

VERIFIED = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", (b"leaf",), (b"leaf", b"root"), True)

LIST = b"+OK\r\nUSER\r\nSTLS\r\n.\r\n"


class Early(bytes):
    """Unsolicited data: it has arrived before the next command."""


class InTls(Early):
    """The same, sent inside TLS."""


class ScriptedStream(Stream):
    """Gives one piece after another, then closes; no socket."""

    def __init__(
        self,
        *pieces: bytes | ProbeError,
        tls: TlsFacts | ProbeError = VERIFIED,
        seconds: float = 60,
    ) -> None:
        self.pieces = list(pieces)
        self.sent: list[bytes] = []
        self.deadlines: list[float] = []
        self.names: list[str] = []
        self.tls = tls
        self.encrypted = False
        self.deadline = Deadline(Clock() + seconds)

    def send(self, data: bytes) -> None:
        self.sent.append(data.removesuffix(b"\r\n"))
        self.deadlines.append(self.deadline.left())

    def receive(self) -> bytes:
        piece = self.pieces.pop(0) if self.pieces else b""
        if isinstance(piece, ProbeError):
            raise piece
        return piece

    def arrived(self) -> bytes:
        piece = self.pieces[0] if self.pieces else b""
        is_due = self.encrypted or not isinstance(piece, InTls)
        return self.receive() if isinstance(piece, Early) and is_due else b""

    def start_tls(self, context: object, name: str) -> TlsFacts:
        self.sent.append(b"(handshake)")
        self.names.append(name)
        if isinstance(self.tls, ProbeError):
            raise self.tls
        self.encrypted = True
        return self.tls


def lost() -> ProbeError:
    return ProbeError(Kind.CLOSED, Printable("reset the connection"))


def login(mechanism: str = "user", allow_insecure: bool = False) -> Login:
    return Login("monitor", SecretSource(), mechanism, allow_insecure)


def settings(security: Security, wanted: Login | None = None, **policy: Any) -> Settings:
    tls = TlsPolicy(security, name=HOST).replace(**policy)
    return Settings(Target(HOST, 110), tls, wanted)


def run_scripted(
    stream: ScriptedStream,
    wanted: Settings,
    may_log_in: bool = True,
    left: float = 30,
    secret: bytes = b"s3cret",
) -> tuple[Session, ProbeError | None]:
    """Return the facts of a session, and the error that ended it."""
    prerequisites = Prerequisites(wanted, Secret(secret))
    if wanted.login:
        prerequisites.masker = Masker([secret])
        prerequisites.is_maskable = can_mask(secret)
    if wanted.tls.security is not Security.PLAIN:
        prerequisites.context = context(wanted.tls)
    session = Session(Address("192.0.2.1", 110))
    try:
        session_module.run_session(
            stream, session, prerequisites, Deadline(Clock() + left), lambda: may_log_in
        )
    except ProbeError as error:
        return session, error
    return session, None


def phases(session: Session) -> list[Phase]:
    return [lap.phase for lap in session.timeline.laps]


PLAIN = settings(Security.PLAIN)
STLS = settings(Security.STLS)
INSECURE = settings(Security.PLAIN, login(allow_insecure=True))
INJECTED = "sent plain data after the STLS reply (injection?)"


def test_session_shortest_is_greeting_and_quit() -> None:
    """Without options a session is the greeting and QUIT."""
    stream = ScriptedStream(b"+OK ready\r\n", b"+OK bye\r\n")

    session, error = run_scripted(stream, PLAIN)

    assert error is None
    assert stream.sent == [b"QUIT"]
    assert phases(session) == [Phase.GREETING, Phase.QUIT]
    assert session.transcript == ["S: +OK ready", "C: QUIT", "S: +OK bye"]
    assert (session.greeting, session.greeting_shown) == (b"+OK ready", "+OK ready")
    assert session.notes == []
    assert session.capabilities is None


def test_session_longest_has_stls_login_and_stat() -> None:
    """After STLS the capabilities are read again."""
    stream = ScriptedStream(
        *(b"+OK ready\r\n", LIST, b"+OK begin\r\n", b"+OK\r\nUSER\r\nUIDL\r\n.\r\n"),
        *(b"+OK\r\n", b"+OK\r\n", b"+OK 3 1234\r\n", b"+OK bye\r\n"),
    )

    session, error = run_scripted(stream, settings(Security.STLS, login("auto")))

    assert error is None
    assert stream.sent == [
        *(b"CAPA", b"STLS", b"(handshake)", b"CAPA", b"USER monitor", b"PASS s3cret"),
        *(b"STAT", b"QUIT"),
    ]
    assert stream.names == [HOST]
    assert phases(session) == [
        *(Phase.GREETING, Phase.CAPA, Phase.STLS, Phase.TLS, Phase.CAPA, Phase.LOGIN),
        *(Phase.STAT, Phase.QUIT),
    ]
    assert session.tls == VERIFIED
    assert session.capabilities == ("USER", "UIDL")
    assert session.offered == frozenset((("USER", None), ("UIDL", None), ("STLS", None)))
    assert session.login_began
    assert session.logged_in_as == "monitor"
    assert session.mailbox == MailboxFacts(3, 1234)
    assert "TLS: TLSv1.3 TLS_AES_256_GCM_SHA384" in session.transcript
    assert "C: PASS ***" in session.transcript
    assert "s3cret" not in " ".join(session.transcript)


def test_session_implicit_tls_begins_with_handshake() -> None:
    """Nothing is read or sent before the handshake."""
    stream = ScriptedStream(b"+OK ready\r\n", b"+OK bye\r\n")

    session, error = run_scripted(stream, settings(Security.IMPLICIT))

    assert error is None
    assert stream.sent == [b"(handshake)", b"QUIT"]
    assert phases(session) == [Phase.TLS, Phase.GREETING, Phase.QUIT]


def test_capa_is_sent_only_if_needed() -> None:
    """USER/PASS by name does not need the list; an assertion does."""
    by_name = ScriptedStream(b"+OK\r\n", b"+OK\r\n", b"+OK\r\n", b"+OK 0 0\r\n", b"+OK\r\n")
    run_scripted(by_name, settings(Security.IMPLICIT, login("user")))
    asserted = ScriptedStream(b"+OK\r\n", LIST, b"+OK\r\n")
    wanted = PLAIN.replace(assertions=PLAIN.assertions.replace(capabilities=(("USER", None),)))
    session, _ = run_scripted(asserted, wanted)

    assert b"CAPA" not in by_name.sent
    assert asserted.sent == [b"CAPA", b"QUIT"]
    assert session.offered == frozenset((("USER", None), ("STLS", None)))


BUSY = "sent unexpected data after the greeting: -ERR too busy"
PROXY = "sent unexpected data after the greeting: -ERR Unknown command: PROXY (PROXY protocol?)"
CUT = "closed the connection without a reply"


@pytest.mark.parametrize(
    ("replies", "kind", "message"),
    [
        ([b"-ERR too busy\r\n"], Kind.GARBLED, BUSY),
        ([b"-ERR too busy\r\n", b"maybe\r\n"], Kind.GARBLED, "sent no POP3 reply: maybe"),
        ([b"-ERR too busy\r\n", Early(b"+OK\r\n")], Kind.GARBLED, BUSY),
        ([b"-ERR unknown command\r\n"], Kind.CLOSED, CUT),
        ([b"-ERR\r\n"], Kind.CLOSED, CUT),
        ([b"-ERR\r\n", Early(b"x")], Kind.GARBLED, "sent unexpected data after the greeting: -ERR"),
        ([b"hello\r\n"], Kind.GARBLED, "sent unexpected data after the greeting: hello"),
        (
            [b"+OK ready\r\n+OK\r\nUSER\r\n.\r\n"],
            *(Kind.GARBLED, "sent unexpected data after the greeting: +OK ready"),
        ),
        ([LIST, b"+OK\r\nUSER\r\n.\r\n"], Kind.INJECTED, INJECTED),
        ([b"-ERR Unknown command: PROXY\r\n", b"+OK\r\nUSER\r\n.\r\n"], Kind.GARBLED, PROXY),
        ([b"-ERR Unknown command: PROXY\r\n", b"+OK\r\n.\r\n"], Kind.GARBLED, PROXY),
        ([b"-ERR Unknown command: PROXY\r\n", b"+OK\r\nUSER\r\n"], Kind.INJECTED, INJECTED),
    ],
)
def test_reply_to_capa_that_was_meant_otherwise_is_reported(
    replies: Sequence[bytes], kind: Kind, message: str
) -> None:
    """An `-ERR` before CAPA was read may end the session, or answer the header of a proxy."""
    _, error = run_scripted(ScriptedStream(b"+OK\r\n", *replies), STLS)

    assert error is not None
    assert (error.kind, error.message) == (kind, message)


IN_TLS = "refuses service inside TLS: no certificate"


@pytest.mark.parametrize(
    ("replies", "kind", "message", "sent"),
    [
        ([InTls(b"-ERR no certificate\r\n")], Kind.CLIENT_CERTIFICATE, IN_TLS, b"(handshake)"),
        (
            [InTls(b"+OK\r\n")],
            *(Kind.GARBLED, "sent unexpected data after the greeting: +OK", b"(handshake)"),
        ),
        ([b"-ERR no certificate\r\n"], Kind.CLIENT_CERTIFICATE, IN_TLS, b"USER monitor"),
        ([b"-ERR no certificate\r\n", b"-ERR no\r\n"], Kind.LOGIN_REFUSED, None, b"USER monitor"),
        (
            [b"-ERR no certificate\r\n", b"+OK\r\n", b"+OK\r\n"],
            *(Kind.CLOSED, CUT, b"STAT"),
        ),
        ([b"+OK\r\n.\r\n"], Kind.CLOSED, CUT, b"USER monitor"),
    ],
)
def test_service_refused_inside_tls_is_reported(
    replies: Sequence[bytes], kind: Kind, message: str | None, sent: bytes
) -> None:
    """A proxy refuses a session without a client certificate in TLS, asked or not."""
    stream = ScriptedStream(b"+OK\r\n", b"-ERR too busy\r\n", b"+OK\r\n", *replies)

    _, error = run_scripted(stream, settings(Security.STLS, login()))

    assert error is not None
    assert (error.kind, message or error.message) == (kind, error.message)
    assert [each for each in stream.sent if each != b"QUIT"][-1] == sent


@pytest.mark.parametrize(
    ("wanted", "pieces", "message"),
    [
        (INSECURE, [b"+OK bye\r\n+OK\r\n"], "sent unexpected data after the greeting: +OK"),
        (INSECURE, [b"maybe\r\n"], "sent unexpected data after the greeting: maybe"),
        (INSECURE, [b"maybe"], "sent unexpected data after the greeting: maybe"),
        (INSECURE, [b"-ERR deleted\r\n"], None),
        (INSECURE, [b"-ER"], None),
        (INSECURE, [b"+OK by"], None),
        (INSECURE, [b"+"], None),
        (INSECURE, [Early(b"+OK\r\n")], "sent unexpected data after the greeting: +OK"),
        (PLAIN, [b"-ERR\r\n"], "sent unexpected data after the greeting: -ERR"),
        (PLAIN, [b"-ER"], "sent unexpected data after the greeting: -ER"),
        (PLAIN, [b"+OK by"], None),
    ],
)
def test_quit_answered_by_other_data_is_reported(
    wanted: Settings, pieces: list[bytes], message: str | None
) -> None:
    """A failure where a login depends on replies, else a note; QUIT may be refused after one."""
    replies = [b"+OK\r\n", b"+OK\r\n", b"+OK 0 0\r\n"] if wanted.login else []

    session, error = run_scripted(ScriptedStream(b"+OK\r\n", *replies, *pieces), wanted)

    note = "".join(each.text for each in session.notes)
    if message is None:
        refused = b"-ERR" in pieces[0]
        done = "was refused" if refused else "was not acknowledged"
        assert (error, note) == (None, f"QUIT {done} (nothing was deleted)")
    elif wanted.login:
        assert error is not None
        assert (error.kind, error.message, note) == (Kind.GARBLED, message, "")
        assert session.timeline.failed is Phase.QUIT
    else:
        assert (error, note) == (None, f"server {message}")


def test_deadline_after_greeting_is_that_of_the_attempt() -> None:
    """An address has its share of the time only until it has greeted."""
    stream = ScriptedStream(b"+OK\r\n", LIST, b"-ERR\r\n", seconds=5)

    run_scripted(stream, STLS, left=3000)

    assert stream.sent[:2] == [b"CAPA", b"STLS"]
    assert 5 < min(stream.deadlines[:2]) <= 3000


def test_quit_wait_is_limited_and_not_measured() -> None:
    """The wait for QUIT is one second at most, and no part of `time`."""
    stream = ScriptedStream(b"+OK\r\n", b"+OK bye\r\n")

    session, _ = run_scripted(stream, PLAIN)

    assert stream.deadlines[-1] <= 1
    quit_lap = session.timeline.laps[-1]
    assert session.ended is not None
    assert session.ended <= Clock() - quit_lap.seconds


@pytest.mark.parametrize(
    ("answer", "pieces"),
    [
        (b"+O", "QUIT was not acknowledged (nothing was deleted)"),
        (lost(), "QUIT was not acknowledged (nothing was deleted)"),
        (b"", "QUIT was not acknowledged (nothing was deleted)"),
    ],
)
def test_quit_failure_is_a_note(answer: bytes | ProbeError, pieces: str) -> None:
    """A failed QUIT does not change the result."""
    session, error = run_scripted(ScriptedStream(b"+OK\r\n", answer), PLAIN)

    assert error is None
    assert [(note.kind, note.text) for note in session.notes] == [(Kind.GOODBYE, pieces)]


@pytest.mark.parametrize(
    ("replies", "kind", "message", "sent"),
    [
        ([b"+OK\r\nUSER\r\n.\r\n"], Kind.NO_STLS, "does not offer STLS", [b"QUIT"]),
        ([b"-ERR\r\n", b"-ERR no\r\n"], Kind.NO_STLS, "refuses STLS: no", [b"STLS", b"QUIT"]),
        (
            [LIST, b"-ERR\r\n"],
            Kind.NO_STLS,
            "refuses STLS: (no reason given)",
            [b"STLS", b"QUIT"],
        ),
        (
            [LIST, b"+OK\r\n+OK\r\n"],
            Kind.INJECTED,
            INJECTED,
            [b"STLS"],
        ),
        (
            [LIST, b"+OK\r\n", Early(b"+")],
            Kind.INJECTED,
            INJECTED,
            [b"STLS"],
        ),
    ],
)
def test_stls_missing_ends_session(
    replies: Sequence[bytes], kind: Kind, message: str, sent: list[bytes]
) -> None:
    """Faults 26 to 28: there is no handshake, and no fallback to plain text."""
    stream = ScriptedStream(b"+OK\r\n", *replies, b"+OK bye\r\n")

    session, error = run_scripted(stream, STLS)

    assert error is not None
    assert (error.kind, error.message) == (kind, message)
    assert stream.sent == [b"CAPA", *sent]
    assert session.notes == []


@pytest.mark.parametrize(
    ("failure", "kind", "message"),
    [
        (lost(), Kind.TLS, "accepted STLS and then reset the connection"),
        (ProbeError(Kind.OLD_TLS, Printable("is old")), Kind.OLD_TLS, "is old"),
    ],
)
def test_stls_closed_handshake_is_tls_failure(
    failure: ProbeError, kind: Kind, message: str
) -> None:
    """Fault 29: a connection closed after STLS is a failure of TLS."""
    stream = ScriptedStream(b"+OK\r\n", LIST, b"+OK\r\n", tls=failure)

    session, error = run_scripted(stream, STLS)

    assert error is not None
    assert (error.kind, error.message, session.timeline.failed) == (kind, message, Phase.TLS)
    assert stream.sent[-1] == b"(handshake)"
    assert (session.capabilities, session.offered) == (None, None)


def test_stls_drops_capabilities_from_before() -> None:
    """RFC 2595 section 4: the list from before TLS must not be used."""
    stream = ScriptedStream(b"+OK\r\n", LIST, b"+OK\r\n", b"-ERR unknown\r\n", b"+OK\r\n")

    session, error = run_scripted(stream, STLS)

    assert error is not None
    assert (error.kind, session.timeline.failed) == (Kind.GREETING, Phase.CAPA)
    assert (session.capabilities, session.offered) == (None, None)


def test_login_second_session_skips_login() -> None:
    """Only one session of an attempt logs in; the others go on to QUIT."""
    stream = ScriptedStream(b"+OK\r\n", b"+OK bye\r\n")

    session, error = run_scripted(stream, settings(Security.IMPLICIT, login()), may_log_in=False)

    assert error is None
    assert stream.sent == [b"(handshake)", b"QUIT"]
    assert session.logged_in_as is None
    assert not session.login_began
    assert session.mailbox is None


@pytest.mark.parametrize(
    ("wanted", "tls"),
    [
        (settings(Security.PLAIN, login()), VERIFIED),
        (settings(Security.IMPLICIT, login()), VERIFIED.replace(verified=False)),
    ],
)
def test_login_unverified_link_sends_no_password(wanted: Settings, tls: TlsFacts) -> None:
    """The last safeguard, independent of the options."""
    stream = ScriptedStream(b"+OK\r\n", b"+OK bye\r\n", tls=tls)

    _, error = run_scripted(stream, wanted)

    assert error is not None
    assert error.kind is Kind.CONFIG
    assert error.message == "no password is sent over a link that is not verified TLS"
    assert stream.sent[-1] == b"QUIT"
    assert not {b"USER monitor", b"PASS s3cret"} & set(stream.sent)


def test_login_unencrypted_stream_sends_no_password() -> None:
    """The stream must be encrypted, and the handshake verified."""
    stream = ScriptedStream()
    prerequisites = Prerequisites(settings(Security.PLAIN, login()))
    session = Session(Address("192.0.2.1", 110))
    session.tls = VERIFIED
    connection = Connection(stream, prerequisites.settings, session, prerequisites.sanitise)

    with pytest.raises(ProbeError, match="not verified TLS"):
        session_module.log_in(connection, prerequisites, None, lambda: True)
    assert stream.sent == []


def test_login_cleartext_allowed_sends_password() -> None:
    """`--allow-insecure-login` allows a login without verified TLS."""
    stream = ScriptedStream(b"+OK\r\n", b"+OK\r\n", b"+OK\r\n", b"+OK 1 2\r\n", b"+OK\r\n")

    session, error = run_scripted(stream, settings(Security.PLAIN, login(allow_insecure=True)))

    assert error is None
    assert session.mailbox == MailboxFacts(1, 2)


@pytest.mark.parametrize(
    ("reply", "kind", "message"),
    [
        (b"-ERR [AUTH] no", Kind.CREDENTIALS, "login of monitor rejected: [AUTH] no"),
        (b"-ERR [IN-USE] x", Kind.IN_USE, "mailbox of monitor is in use: "),
        (b"-ERR TLS required", Kind.CLEARTEXT_REFUSED, "demands TLS before a login: TLS required"),
        (b"-ERR", Kind.CREDENTIALS, "login of monitor rejected: (no reason given)"),
        (b"-ERR no monitor", Kind.LOGIN_REFUSED, "login of monitor refused: no monitor"),
    ],
)
def test_login_refused_skips_stat(reply: bytes, kind: Kind, message: str) -> None:
    """Kind and message come from the reply; STAT is not sent."""
    stream = ScriptedStream(b"+OK\r\n", b"+OK\r\n", reply + b"\r\n", b"+OK bye\r\n")

    session, error = run_scripted(stream, INSECURE)

    assert error is not None
    assert error.kind is kind
    assert error.message.startswith(message)
    assert session.timeline.failed is Phase.LOGIN
    assert stream.sent[-1] == b"QUIT"
    assert b"STAT" not in stream.sent
    assert session.login_began
    assert session.logged_in_as is None


@pytest.mark.parametrize(
    ("replies", "may_again"),
    [
        ([b"-ERR no\r\n"], True),
        ([b"+OK\r\n", b"-ERR no\r\n"], False),
        ([b"+OK\r\n", b"-ERR [IN-USE] no\r\n"], True),
    ],
)
def test_login_may_be_retried_unless_the_password_may_be_wrong(
    replies: list[bytes], may_again: bool
) -> None:
    """A second wrong password could lock the account."""
    session, _ = run_scripted(ScriptedStream(b"+OK\r\n", *replies), INSECURE)

    assert session.may_log_in_again is may_again


def test_login_with_short_password_shows_only_codes() -> None:
    """A gap in the place of a short password would reveal it."""
    stream = ScriptedStream(b"+OK\r\n", b"+OK\r\n", b"-ERR [AUTH] abc is wrong\r\n")

    session, error = run_scripted(stream, INSECURE, secret=b"abc")

    assert error is not None
    assert error.message == "login of monitor rejected: [AUTH] ***"
    assert session.replies_hidden
    assert "abc" not in " ".join(session.transcript)


def test_login_refusal_that_names_the_host_is_not_about_its_words() -> None:
    """A host may be called as nothing that a refusal means."""
    wanted = INSECURE.replace(target=Target("tls-only", 110))
    stream = ScriptedStream(b"+OK\r\n", b"+OK\r\n", b"-ERR tls-only: wrong password\r\n")

    _, error = run_scripted(stream, wanted)

    assert error is not None
    assert error.kind is Kind.CREDENTIALS


def test_login_mechanism_not_offered_is_not_tried() -> None:
    """Fault 52: no login is sent, and a secret in the list is masked."""
    stream = ScriptedStream(b"+OK\r\n", b"+OK\r\nSASL S3CRET-1\r\n.\r\n", b"+OK\r\n")

    session, error = run_scripted(
        stream, settings(Security.PLAIN, login("plain", allow_insecure=True))
    )

    assert error is not None
    assert error.kind is Kind.NO_MECHANISM
    assert error.message == "does not offer PLAIN; its mechanisms: ***-1"
    assert stream.sent == [b"CAPA", b"QUIT"]
    assert not session.login_began


def test_login_lost_connection_is_closed() -> None:
    """Fault 51: a lost connection is not a rejected password."""
    stream = ScriptedStream(b"+OK\r\n", b"+OK\r\n", lost())

    _, error = run_scripted(stream, INSECURE)

    assert error is not None
    assert (error.kind, error.message) == (Kind.CLOSED, "reset the connection")
    assert stream.sent[-1] == b"PASS s3cret"


@pytest.mark.parametrize(
    ("replies", "kind", "message"),
    [
        ([b"-ERR no\r\n"], Kind.MAILBOX, "cannot read the mailbox: no"),
        ([b"-ERR [SYS/TEMP] no\r\n"], Kind.TEMPORARY, "withdrew the login: [SYS/TEMP] no"),
        ([b"+OK nonsense\r\n"], Kind.MAILBOX, "sent a malformed STAT reply: nonsense"),
        ([b"+OK\r\n"], Kind.MAILBOX, "sent a malformed STAT reply: (nothing)"),
        ([Early(b"-ERR [SYS/PERM] x\r\n")], Kind.PERMANENT, "withdrew the login: [SYS/PERM] x"),
        # Unsolicited, so that its numbers are not the reply to STAT.
        ([Early(b"+OK 1 2\r\n")], Kind.MAILBOX, "sent a malformed STAT reply: 1 2"),
    ],
)
def test_stat_failure_is_reported(replies: Sequence[bytes], kind: Kind, message: str) -> None:
    """Faults 55 and 56; Dovecot withdraws a login before STAT is sent."""
    stream = ScriptedStream(b"+OK\r\n", b"+OK\r\n", b"+OK\r\n", *replies, b"+OK bye\r\n")

    session, error = run_scripted(stream, INSECURE)

    assert error is not None
    assert (error.kind, error.message, session.timeline.failed) == (kind, message, Phase.STAT)
    assert session.mailbox is None
    assert stream.sent[-1] == b"QUIT"
    assert (b"STAT" in stream.sent) is not isinstance(replies[0], Early)


@pytest.mark.parametrize(
    ("pieces", "kind", "message", "sent"),
    [
        ([b"-ERR full\r\n"], Kind.GREETING, "refuses service: full", [b"QUIT"]),
        (
            [b"-ERR [SYS/TEMP] full\r\n"],
            Kind.GREETING_TEMPORARY,
            "refuses service: [SYS/TEMP] full",
            [b"QUIT"],
        ),
        ([b"* OK IMAP\r\n"], Kind.GARBLED, "is not POP3, looks like IMAP: * OK IMAP", []),
        ([b"\x15\x03\x01\0\x02\x02\n"], Kind.GARBLED, "is not POP3, looks like TLS", []),
        ([b"hello\r\n"], Kind.GARBLED, "sent a malformed greeting: hello", []),
        ([b"\r\n"], Kind.GARBLED, "sent a malformed greeting: (an empty line)", []),
        ([b""], Kind.CLOSED, "closed the connection before the greeting", []),
        (
            [b"5.5.5-\0", b""],  # MySQL
            Kind.CLOSED,
            "closed the connection in the middle of a reply before the greeting: 5.5.5-?",
            [],
        ),
        ([lost()], Kind.CLOSED, "reset the connection before the greeting", []),
    ],
)
def test_greeting_invalid_ends_session(
    pieces: Sequence[bytes | ProbeError], kind: Kind, message: str, sent: list[bytes]
) -> None:
    """Faults 7 to 14: QUIT is sent only to a POP3 server."""
    stream = ScriptedStream(*pieces)

    session, error = run_scripted(stream, PLAIN)

    assert error is not None
    assert (error.kind, error.message, session.timeline.failed) == (kind, message, Phase.GREETING)
    assert stream.sent == sent


@pytest.mark.parametrize(
    ("pending", "message"),
    [(b"", "no answer in time"), (b"+OK re", "no complete answer")],
)
def test_greeting_late_message_distinguishes_silence_from_partial_line(
    pending: bytes, message: str
) -> None:
    """Faults 6 and 18: no answer and an incomplete answer have different messages."""
    late = DeadlineExceeded(Kind.TIMEOUT, Printable("no answer in time"))
    stream = ScriptedStream(*([pending] if pending else []), late)

    _, error = run_scripted(stream, PLAIN)

    assert isinstance(error, DeadlineExceeded)
    assert error.message == message
    assert stream.sent == []


def test_greeting_lower_case_is_a_note() -> None:
    """Fault 14: some servers send it, and clients accept it."""
    stream = ScriptedStream(b"+ok ready\r\n", b"+OK\r\n")

    session, error = run_scripted(stream, PLAIN)

    assert error is None
    assert [(note.kind, note.text) for note in session.notes] == [
        (Kind.GARBLED, "server sent its greeting in lower case")
    ]


UNASKED = "sent unexpected data after the greeting: +OK"


@pytest.mark.parametrize(("wanted", "is_failure"), [(PLAIN, False), (STLS, True), (INSECURE, True)])
def test_greeting_with_more_data_fails_before_commands(wanted: Settings, is_failure: bool) -> None:
    """Fault 19: with STLS or a login the data could be taken for a reply."""
    stream = ScriptedStream(b"+OK\r\n+OK\r\n-ERR\r\n", b"+OK\r\n")

    session, error = run_scripted(stream, wanted)

    found = [(note.kind, note.text) for note in session.notes]
    if is_failure:
        assert error is not None
        assert (error.kind, error.message) == (Kind.GARBLED, UNASKED)
        assert session.timeline.failed is Phase.GREETING
    else:
        assert error is None
        assert found[0] == (Kind.GARBLED, f"server {UNASKED}")
    assert stream.sent == [b"QUIT"]  # its reply cannot be told from the unsolicited data


@pytest.mark.parametrize(
    ("stream", "wanted", "ended"),
    [
        (ScriptedStream(b"+OK\r\n", b"+OK\r\n"), PLAIN, 0),
        (ScriptedStream(b"-ERR\r\n", b"+OK\r\n"), PLAIN, 0),
        (ScriptedStream(b""), PLAIN, None),
        (ScriptedStream(b""), settings(Security.IMPLICIT), 1),
        (ScriptedStream(b"+OK\r\n", LIST, b"+OK\r\n", lost()), STLS, 3),
        (ScriptedStream(b"+OK\r\n", LIST, b"+OK\r\n", tls=lost()), STLS, 2),
        (ScriptedStream(b"+OK\r\n", b"+OK\r\n", b"-ERR\r\n", b"+OK\r\n"), INSECURE, 2),
        (ScriptedStream(b"+OK\r\n", b"+OK\r\n", b"nonsense\r\n"), INSECURE, 1),
    ],
)
def test_ended_is_the_instant_of_the_last_reply(
    stream: ScriptedStream, wanted: Settings, ended: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that counts what was sent; QUIT is not included."""
    monkeypatch.setattr(connection_module, "Clock", lambda: len(stream.sent))

    assert run_scripted(stream, wanted)[0].ended == ended


def greeted(*pieces: bytes | ProbeError) -> tuple[Connection, ScriptedStream]:
    """Return a connection that has read its greeting, and its stream."""
    stream = ScriptedStream(b"+OK\r\n", *pieces)
    connection = Connection(
        stream, PLAIN, Session(Address("192.0.2.1", 110)), sanitised_text.sanitise
    )
    read_greeting(connection)
    return connection, stream


def test_reply_body_is_read_to_its_dot() -> None:
    """Only if the command has a body and the reply is +OK."""
    connection, _ = greeted(b"+OK\r\na\r\n..b\r\n.\r\n", b"-ERR no\r\n", b"+OK\r\n")

    assert connection.request(grammar.command(b"CAPA"), has_body=True).body == (b"a", b".b")
    assert connection.request(grammar.command(b"CAPA"), has_body=True).body == ()
    assert connection.request(grammar.command(b"STAT")).body == ()


def test_request_with_unsolicited_data_sends_nothing() -> None:
    """The data would be taken for the reply."""
    connection, stream = greeted(Early(b"+"))

    with pytest.raises(ProbeError) as caught:
        connection.request(grammar.command(b"STAT"))
    assert caught.value.kind is Kind.GARBLED
    assert caught.value.message == "sent unexpected data after the greeting: +"
    assert stream.sent == []


@pytest.mark.parametrize(
    ("pieces", "cut"),
    [
        ([], "without a reply"),
        ([b"+O"], "in the middle of a reply"),
        ([b"+OK\r\n"], "in the middle of a reply"),
        ([b"+OK\r\nUSER\r\n"], "in the middle of a reply"),
        ([b"+OK\r\nUSER\r\n."], "in the middle of a reply"),
    ],
)
def test_closed_connection_message_names_the_place(pieces: Sequence[bytes], cut: str) -> None:
    """A list without its final dot is half a reply."""
    connection, _ = greeted(*pieces)

    with pytest.raises(ProbeError) as caught:
        connection.request(grammar.command(b"CAPA"), has_body=True)
    assert (caught.value.kind, caught.value.message) == (
        Kind.CLOSED,
        f"closed the connection {cut}",
    )


def test_challenge_outside_auth_is_garbled() -> None:
    """A challenge is valid only inside AUTH."""
    for connection in (greeted(b"+ dGVzdA==\r\n")[0], greeted(b"+\r\n")[0]):
        with pytest.raises(ProbeError, match=r"^sent no POP3 reply: \+"):
            connection.read_reply()


@pytest.mark.parametrize(
    ("end", "protocol_warnings"), [(b"\r\n", []), (b"\n", ["lines end in LF alone"])]
)
def test_bare_lf_is_warned_once(end: bytes, protocol_warnings: list[str]) -> None:
    """Fault 15: tolerated in every line."""
    session, error = run_scripted(ScriptedStream(b"+OK" + end, b"+OK" + end), PLAIN)

    assert error is None
    assert session.protocol_warnings == protocol_warnings


@pytest.mark.parametrize(
    ("challenge", "shown"),
    [
        (base64.b64encode(b"a s3cret-long b"), "+ ***"),
        (base64.b64encode(b"a s3cret-long bc").rstrip(b"="), "+ ***"),
        (base64.b64encode(b"say s3cret-long"), "+ ***"),
        (b"dGVzdA==", "+ dGVzdA=="),
        (b"s3cret-long", "+ ***"),
        (b"not base64", "+ not base64"),
    ],
)
def test_challenge_with_secret_is_masked(challenge: bytes, shown: str) -> None:
    """A challenge is decoded to find secrets; one without is shown."""
    connection, _ = greeted(b"+ " + challenge + b"\r\n")
    connection.sanitise = Masker([b"s3cret-long"]).sanitise

    connection.read_reply(is_auth=True)

    assert connection.session.transcript[-1] == f"S: {shown}"


def test_reply_invalid_is_garbled() -> None:
    """Fault 58: the line is quoted, and no QUIT is sent."""
    connection, _ = greeted(b"maybe\r\n")

    with pytest.raises(ProbeError, match="sent no POP3 reply: maybe") as caught:
        connection.request(grammar.command(b"STAT"))
    assert caught.value.kind is Kind.GARBLED
    assert not connection.is_usable


class DeafStream(ScriptedStream):
    """Accepts no data after its greeting."""

    def send(self, data: bytes) -> None:
        super().send(data)
        raise lost()


def test_quit_after_failed_send_is_not_sent() -> None:
    """If a command cannot be sent, no QUIT is sent, and there is no note about it."""
    stream = DeafStream(b"+OK\r\n", LIST)

    session, error = run_scripted(stream, STLS)

    assert error is not None
    assert error.kind is Kind.CLOSED
    assert stream.sent == [b"CAPA"]
    assert session.notes == []


def test_quit_inside_reply_is_not_sent() -> None:
    """Also if the reply is unsolicited."""
    stream = ScriptedStream(b"+OK\r\n", b"+OK\r\n", b"+OK\r\n", Early(b"-ERR ha"))

    session, error = run_scripted(stream, INSECURE)

    assert error is not None
    assert error.message == "closed the connection in the middle of a reply"
    assert session.notes == []
    assert stream.sent[-1] == b"PASS s3cret"


@pytest.mark.parametrize(
    ("pieces", "text"),
    [([b"-ERR no space\r\n"], "refused: no space"), ([], "not acknowledged")],
)
def test_quit_that_should_delete_own_probes_names_them(pieces: list[bytes], text: str) -> None:
    """They fill the mailbox if nobody knows."""
    connection, _ = greeted(*pieces)
    connection.session.logged_in_as = Printable("monitor")
    connection.update_by = Deadline(Clock() + 9)

    assert quit_session(connection) is None
    [note] = connection.session.notes
    assert note.kind is Kind.NOT_DELETED
    assert note.text == f"QUIT was {text} (own probes may still be there)"


def test_capa_refused_because_of_load_explains_a_closed_connection() -> None:
    """Also where nothing but QUIT follows."""
    wanted = PLAIN.replace(assertions=PLAIN.assertions.replace(capabilities=(("USER", None),)))
    session, _ = run_scripted(ScriptedStream(b"+OK\r\n", b"-ERR too busy\r\n"), wanted)

    assert [each.text for each in session.notes] == [f"server {BUSY}"]


def test_headers_are_read_up_to_64_kib_and_not_shown() -> None:
    """Anyone can send a message with more; its rest is skipped (RFC 1939 section 7)."""
    connection, _ = greeted(b"..a\r\n" + b"x" * 62 + b"\r\n", b"y\r\n.\r\n")
    greeted_at = connection.session.ended
    assert connection.read_headers() == (b".a", b"x" * 62, b"y")
    assert connection.session.transcript == ["S: +OK", "S: (headers, not shown)"]
    assert connection.is_usable
    assert connection.session.ended is not None
    assert greeted_at is not None
    assert connection.session.ended > greeted_at

    connection, _ = greeted((b"x" * 62 + b"\r\n") * 1024 + b"y\r\n.\r\n")
    assert connection.read_headers() == (b"x" * 62,) * 1024


def test_headers_of_each_message_have_a_limit_of_their_own() -> None:
    """A mailbox of many messages is no endless reply, one message may be."""
    message = (b"x" * 1022 + b"\r\n") * 600
    connection, _ = greeted(*[message, b".\r\n"] * 2, message, message)

    assert len(connection.read_headers()) == len(connection.read_headers()) == 64
    with pytest.raises(ProbeError, match="sends without end"):
        connection.read_headers()


def test_headers_cut_off_end_the_session() -> None:
    """No QUIT is sent inside a reply."""
    connection, _ = greeted(b"From: y\r\n")

    with pytest.raises(ProbeError, match=r"closed the connection in the middle of a reply"):
        connection.read_headers()
    assert not connection.is_usable


@pytest.mark.parametrize(
    ("data", "shown"),
    [(b"+OK\r\n", "+OK"), (b"Subject: x\r\n", "(not shown, may be of a message)")],
)
def test_data_after_the_headers_of_a_message_is_quoted_if_it_is_a_reply(
    data: bytes, shown: str
) -> None:
    """No part of a mail is printed."""
    connection, _ = greeted(b"From: y\r\n.\r\n" + data)

    assert connection.read_headers() == (b"From: y",)
    assert connection.unexpected().message == f"sent unexpected data after the greeting: {shown}"


def test_start_tls_drops_earlier_data() -> None:
    """Data from before TLS is neither read nor counted as unsolicited."""
    connection, _ = greeted(Early(b"+OK in the clear\r\n"), b"+OK in TLS\r\n")
    assert connection.unsolicited()

    assert connection.start_tls(context(STLS.tls)) is connection.session.tls is VERIFIED

    assert not connection.unsolicited()
    assert connection.read_reply().text == b"in TLS"


def test_apop_digest_uses_greeting_as_received() -> None:
    """RFC 1939 section 7, with the example there."""
    greeting = b"+OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>\r\n"
    stream = ScriptedStream(greeting, b"+OK\r\n", b"+OK 0 0\r\n", b"+OK\r\n")
    wanted = settings(Security.IMPLICIT, Login("mrose", SecretSource(), "apop"))

    session, error = run_scripted(stream, wanted, secret=b"tanstaaf")

    assert error is None
    assert stream.sent[1] == b"APOP mrose c4c9334bac560ecc979e58001b3e22fb"
    assert "C: APOP ***" in session.transcript


WITHOUT_STLS = b"+OK\r\nUSER\r\n.\r\n"


@pytest.mark.parametrize(
    ("wanted", "mechanism", "lists", "kind", "questions"),
    [
        (Security.PLAIN, "user", [], Kind.CLEARTEXT_REFUSED, 0),
        (Security.IMPLICIT, "user", [b"+OK\r\n"], Kind.LOGIN_REFUSED, 1),
        (Security.IMPLICIT, "user", [b"-ERR no\r\n"], Kind.LOGIN_REFUSED, 1),
        (Security.IMPLICIT, "user", [WITHOUT_STLS], Kind.LOGIN_REFUSED, 1),
        (Security.IMPLICIT, "user", [LIST], Kind.CLEARTEXT_REFUSED, 1),
        (Security.IMPLICIT, "auto", [WITHOUT_STLS], Kind.LOGIN_REFUSED, 1),
        (Security.IMPLICIT, "auto", [LIST], Kind.CLEARTEXT_REFUSED, 1),
    ],
)
def test_login_refusal_naming_tls_inside_tls_depends_on_capabilities(
    wanted: Security, mechanism: str, lists: list[bytes], kind: Kind, questions: int
) -> None:
    """Inside TLS it cannot demand TLS, unless a proxy ends TLS; then CAPA lists STLS."""
    refused = [b"+OK\r\n", b"-ERR TLS required\r\n"]
    replies = [*refused, *lists] if mechanism == "user" else [*lists, *refused]
    stream = ScriptedStream(b"+OK\r\n", *replies, b"+OK\r\n")

    _, error = run_scripted(stream, settings(wanted, login(mechanism, wanted is Security.PLAIN)))

    assert error is not None
    assert error.kind is kind
    assert stream.sent.count(b"CAPA") == questions
    is_proxied = lists == [LIST]
    assert error.message.startswith("refuses logins: TLS ends in front") is is_proxied


def shown(pki: Pki, name: str) -> TlsFacts:
    sent = tuple(map(pki.der, name.split()))
    return VERIFIED.replace(sent=sent, path=sent)


@pytest.mark.parametrize(
    ("name", "policy", "refusal"),
    [
        ("weak", {"minimum": "1.1"}, (Kind.WEAK, "certificate is too weak")),
        (
            "weak",
            {"minimum": "1.1", "verify": Verify.CHAIN},
            (Kind.WEAK, "certificate is too weak"),
        ),
        ("good weak", {"minimum": "1.1"}, (Kind.WEAK, "certificate is too weak")),
        ("weak", {"minimum": "1.1", "verify": Verify.NONE}, None),
        ("weak", {"minimum": "1.2"}, None),
        ("good", {"minimum": "1.1"}, None),
        ("good", {"pins": ("0" * 64,)}, (Kind.PIN, "certificate is not one that is pinned")),
        (
            "good",
            {"pins": ("0" * 64,), "verify": Verify.NONE},
            (Kind.PIN, "certificate is not one that is pinned"),
        ),
    ],
)
def test_certificate_pin_and_strength_are_checked(
    name: str, policy: dict[str, Any], refusal: tuple[Kind, str] | None, pki: Pki
) -> None:
    """Pins, and strength at security level 0, are checked before a byte is sent."""
    stream = ScriptedStream(b"+OK\r\n", b"+OK\r\n", tls=shown(pki, name))

    session, error = run_scripted(stream, settings(Security.IMPLICIT, **policy))

    assert session.tls is not None
    if refusal is None:
        assert error is None
        assert session.tls.verified
    else:
        assert isinstance(error, CertificateRejected)
        assert (error.kind, error.message) == refusal
        assert error.tls == session.tls
        assert not session.tls.verified
        assert session.ended is None
        assert stream.sent == [b"(handshake)"]
        assert session.notes == []


def test_certificate_after_stls_is_checked(pki: Pki) -> None:
    """A refused certificate after STLS ends the session without another byte."""
    stream = ScriptedStream(b"+OK\r\n", LIST, b"+OK\r\n", LIST, tls=shown(pki, "good"))

    session, error = run_scripted(stream, settings(Security.STLS, pins=("0" * 64,)))

    assert error is not None
    assert (error.kind, session.timeline.failed) == (Kind.PIN, Phase.TLS)
    assert stream.sent == [b"CAPA", b"STLS", b"(handshake)"]


@pytest.mark.parametrize("what", ["fingerprint", "public_key"])
def test_pin_of_certificate_or_key_is_accepted(what: str, pki: Pki) -> None:
    """One matching pin of several is enough."""
    pin = getattr(reader.read(pki.der("good"), sanitised_text.sanitise), what)
    stream = ScriptedStream(b"+OK\r\n", b"+OK\r\n", tls=shown(pki, "good"))

    _, error = run_scripted(stream, settings(Security.IMPLICIT, pins=("0" * 64, pin)))

    assert error is None


def test_capability_list_deviation_is_a_warning() -> None:
    """RFC 2449 section 5: tolerated, and named."""
    stream = ScriptedStream(b"+OK\r\n", b"+OK\r\nuser\r\n\r\n.\r\n", b"-ERR\r\n")

    assert run_scripted(stream, STLS)[0].protocol_warnings == [
        "the capability list has a blank line",
        "the capability list has a tag in lower case",
    ]


def test_transcript_is_limited() -> None:
    """A server that sends many lines does not fill the memory."""
    connection, _ = greeted(b"+OK\r\n" + b"x\r\n" * 300 + b".\r\n")

    connection.request(grammar.command(b"CAPA"), has_body=True)

    assert len(connection.session.transcript) == 200


def test_quit_inside_sasl_exchange_is_not_sent() -> None:
    """Inside an exchange QUIT would be taken for a response."""
    connection, _ = greeted(b"+ dGVzdA==\r\n", b"+OK\r\n")
    auth = grammar.command(b"AUTH", b"X").replace(is_auth=True)

    assert connection.request(auth).challenge == b"dGVzdA=="
    assert not connection.is_usable
    assert connection.request(auth).ok
    assert connection.is_usable


@pytest.mark.parametrize(
    ("begin", "kind", "message"),
    [
        (b"+ ", Kind.GARBLED, "sent a malformed challenge: more than 12288 bytes; given up"),
        (b"+OK ", Kind.OVERSIZED, "sent a line too long (limit 12288)"),
    ],
)
def test_challenge_too_long_is_garbled(begin: bytes, kind: Kind, message: str) -> None:
    """Fault 53: a challenge has at most 12,288 bytes (RFC 5034 section 4)."""
    connection, _ = greeted(begin + b"x" * 12288)

    with pytest.raises(ProbeError) as caught:
        connection.request(grammar.command(b"AUTH", b"X").replace(is_auth=True))
    assert (caught.value.kind, caught.value.message) == (kind, message)


def test_last_word_of_a_password_is_not_masked() -> None:
    """A gap in the place of a word would reveal it."""
    connection, _ = greeted(b"-ERR the mailbox is locked\r\n")

    connection.request(grammar.command(b"PASS", b"my mailbox", Printable("***")))

    assert connection.session.transcript[-1] == "S: -ERR the mailbox is locked"


def test_reply_of_a_server_that_has_hung_up_is_read() -> None:
    """It says why it takes no more commands; another error of the network stays one."""

    class HungUp(ScriptedStream):
        def send(self, data: bytes) -> None:
            self.pieces.insert(0, Early(b"-ERR too many errors\r\n"))
            raise failure

    stream = HungUp(b"+OK\r\n")
    connection = Connection(stream, PLAIN, Session(Address("192.0.2.1", 110)), Masker().sanitise)
    read_greeting(connection)
    failure = lost()
    assert connection.request(grammar.command(b"STAT")).text == b"too many errors"

    failure = ProbeError(Kind.UNREACHABLE, Printable("no route"))
    with pytest.raises(ProbeError, match="no route"):
        connection.request(grammar.command(b"STAT"))


def test_proof_echoed_is_masked() -> None:
    """A password can be guessed from a proof, so it is masked, too."""
    connection, _ = greeted(b"-ERR monitor 0123456789abcdef is wrong\r\n")

    reply = connection.request(
        grammar.command(b"APOP", b"monitor 0123456789abcdef", Printable("***"))
    )

    assert connection.sanitise(reply.text) == "monitor *** is wrong"
    assert connection.session.transcript[-1] == "S: -ERR monitor *** is wrong"


def test_response_empty_is_sent() -> None:
    """RFC 5034 section 4: the answer to the error of a token."""
    connection, _ = greeted(b"-ERR no\r\n")

    assert not connection.request(grammar.Command(b"\r\n", Printable("***"), is_auth=True)).ok


@pytest.mark.parametrize(("name", "is_own"), [("good", True), ("expired", False)])
def test_rejected_certificate_in_the_ca_file_is_remembered(
    name: str, is_own: bool, pki: Pki, tmp_path: Path
) -> None:
    """The user took the certificate of the server for that of its CA."""
    chain, file = (pki.der("good"), pki.der("weak")), tmp_path / "ca.pem"
    file.write_text("".join(map(DER_cert_to_PEM_cert, (pki.der(name), chain[1]))))
    facts = TlsFacts(None, None, chain, (), verified=False, trusted=(b"loaded",))
    refused = CertificateRejected(Kind.UNTRUSTED, facts, "x")

    session, _ = run_scripted(
        ScriptedStream(tls=refused), settings(Security.IMPLICIT, ca_file=str(file))
    )

    assert session.tls is not None
    assert session.tls.trusted == ((b"loaded", chain[0]) if is_own else (b"loaded",))


def test_rejected_certificate_chain_is_kept() -> None:
    """The chain is needed to explain the rejection."""
    facts = TlsFacts(None, None, (b"leaf",), (), verified=False)
    refused = CertificateRejected(Kind.EXPIRED, facts, "has expired")
    stream = ScriptedStream(tls=refused)

    session, error = run_scripted(stream, settings(Security.IMPLICIT, verify=Verify.FULL))

    assert error is refused
    assert session.tls == facts
    assert stream.sent == [b"(handshake)"]
