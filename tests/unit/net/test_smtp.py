"""Submissions: what is sent, which replies are failures, and that all of it ends in time."""

import errno
import io
from base64 import b64encode

import pytest

from check_pop3_plus.model.failures import DeadlineExceeded, Kind, ProbeError
from check_pop3_plus.model.sanitised_text import sanitise
from check_pop3_plus.model.settings import Secret, Security, Smtp, Target, TlsPolicy
from check_pop3_plus.net import smtp, tls
from check_pop3_plus.sasl.exchange import Exchange, Identity
from check_pop3_plus.sasl.mechanisms import MECHANISMS
from check_pop3_plus.support.deadline import Clock, Deadline
from tests.pki.certificates import Pki
from tests.servers.scripted_server import (
    Connection,
    ScriptedServer,
    Server,
    dead_port,
    drip,
    expect,
    say,
    silence,
)
from tests.servers.smtp_server import SmtpServer

MAIL = smtp.Mail("from@example.test", "to@example.test", b"Subject: x\r\n\r\nx\r\n")


PLAIN = TlsPolicy()


class Script(ScriptedServer):
    """A server that does not speak POP3."""

    speaks_pop3 = False


def submission(
    server: Server | int,
    policy: TlsPolicy = PLAIN,
    mechanism: str | None = None,
    host: str = "127.0.0.1",
) -> smtp.Submission:
    port = server if isinstance(server, int) else server.port
    settings = Smtp(Target(host, port), MAIL.sender, policy)
    context = None if policy.security is Security.PLAIN else tls.context(policy)

    def begin_login(_offered: tuple[str, ...]) -> tuple[str, Exchange]:
        identity = Identity(b"user", Secret(b"s3cret").reveal(), host, port)
        assert mechanism is not None
        return mechanism, Exchange(MECHANISMS[mechanism], identity)

    return smtp.Submission(settings, context, begin_login if mechanism else None, sanitise)


def send(made: smtp.Submission, seconds: float = 5) -> None:
    made.send(MAIL, Deadline(Clock() + seconds))


def failure(server: Server | int, seconds: float = 5, mechanism: str | None = None) -> ProbeError:
    with pytest.raises(ProbeError) as error:
        send(submission(server, mechanism=mechanism), seconds)
    return error.value


def descriptor(made: smtp.Submission) -> int:
    assert made._stream is not None
    return made._stream.sock.fileno()


# --- the connection ------------------------------------------------------------------------------


def test_submission_by_ipv6_names_an_ipv6_literal() -> None:
    """RFC 5321 section 4.1.3; the port stands outside of the brackets."""
    with SmtpServer(address="::1") as server:
        send(submission(server, host="::1"))
    assert server.commands[0] == b"ehlo [IPv6:::1]"

    with dead_port("::1") as port, pytest.raises(ProbeError) as error:
        send(submission(port, host="::1"))
    assert error.value.message == f"submission failed: connection refused on [::1]:{port}"


def test_submission_to_a_target_of_no_use_is_a_config_error() -> None:
    """What is wrong on our side is not the failure of a server."""
    with pytest.raises(ProbeError, match="is link-local: add the interface") as error:
        send(submission(25, host="fe80::1"))
    assert error.value.kind is Kind.CONFIG


def test_submission_that_is_refused_leaves_no_connection_open() -> None:
    """The file that smtplib reads from keeps its socket open, too."""
    with SmtpServer(replies={"EHLO": b"550 no\r\n"}) as server:
        made = submission(server)
        with pytest.raises(ProbeError, match="550 no, at EHLO"):
            send(made)
    assert descriptor(made) == -1


def test_submission_after_a_failed_handshake_leaves_no_connection_open(pki: Pki) -> None:
    """smtplib does not know the socket yet."""
    policy = TlsPolicy(Security.IMPLICIT, name="other.example", ca_file=str(pki.ca_file))
    with SmtpServer(tls=pki.server("good")) as server:
        made = submission(server, policy)
        with pytest.raises(ProbeError, match=", at the TLS handshake on "):
            send(made)
    assert descriptor(made) == -1


def test_submission_to_a_dripping_server_ends_in_time() -> None:
    """Each byte would renew the time limit of smtplib."""
    steps = [say(b"220 mx\r\n"), expect(b"ehlo"), drip(b"2" * 40, 0.05)]
    began = Clock()
    with Script(steps) as server:
        error = failure(server, seconds=0.3)
        assert Clock() - began < 1
    assert "no answer in time, at EHLO on 127.0.0.1:" in error.message


def test_submission_whose_socket_times_out_is_late() -> None:
    """It says the same as one that is abandoned a moment later."""
    with Script([say(b"220 mx\r\n"), silence()]) as server:
        made = submission(server)
        with pytest.raises(DeadlineExceeded, match=r"^no answer$"):
            made._run(MAIL, Deadline(Clock() + 0.2))
        assert made._stream is not None
        made._stream.close()


def test_submission_that_the_server_ends_says_so() -> None:
    with SmtpServer(replies={"RCPT": b""}) as server:
        assert "submission failed: server closed the connection, at RCPT" in failure(server).message


def test_submission_with_an_error_of_the_network_is_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """smtplib turns most of them into its own."""

    def ehlo() -> None:
        raise OSError(errno.ECONNRESET, "Connection reset by peer")

    with SmtpServer() as server:
        made = submission(server)
        monkeypatch.setattr(made._client, "ehlo", ehlo)
        with pytest.raises(ProbeError, match=", at EHLO on "):
            send(made)
    assert server.mail == []


def test_submission_waits_a_second_for_the_reply_to_quit() -> None:
    """The message is accepted already: the run must not fail because of it."""
    began = Clock()
    with SmtpServer(replies={"QUIT": None}) as server:
        send(submission(server))
    assert 0.9 < Clock() - began < 1.9
    assert len(server.mail) == 1


def test_lines_of_a_server_are_limited() -> None:
    """256 KiB in one session."""
    limit = 256 * 1024
    assert len(smtp._Lines(io.BytesIO(b"x" * limit)).readline(limit)) == limit

    with pytest.raises(ProbeError, match=r"^server sends without end$") as error:
        smtp._Lines(io.BytesIO(b"x" * (limit + 1))).readline(limit + 1)
    assert error.value.kind is Kind.OVERSIZED


# --- commands and replies ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "mechanism", "is_repeated"),
    [
        (500, None, True),
        (502, None, True),
        (502, "PLAIN", True),
        (500, "PLAIN", False),
        (501, None, False),
        (503, None, False),
    ],
)
def test_submission_to_a_server_without_ehlo_says_helo(
    code: int, mechanism: str | None, is_repeated: bool
) -> None:
    """RFC 5321 section 4.1.4: 502, from old servers 500; a login needs EHLO."""
    with SmtpServer(replies={"EHLO": b"%d no\r\n" % code, "AUTH": b"235 OK\r\n"}) as server:
        made = submission(server, mechanism=mechanism)
        if is_repeated:
            send(made)
        else:
            with pytest.raises(ProbeError, match=f": {code} no, at EHLO on "):
                send(made)
    assert (b"helo [127.0.0.1]" in server.commands) is is_repeated


@pytest.mark.parametrize(
    ("verb", "reply", "kind", "text"),
    [
        ("RCPT", b"400 x\r\n", Kind.SUBMISSION_TEMPORARY, "submission refused for now: 400 x,"),
        ("RCPT", b"499 x\r\n", Kind.SUBMISSION_TEMPORARY, "submission refused for now: 499 x,"),
        ("RCPT", b"500 x\r\n", Kind.SUBMISSION, "submission failed: 500 x, at RCPT TO on"),
        ("RCPT", b"252 x\r\n", Kind.SUBMISSION, "submission failed: 252 x, at RCPT TO on"),
        ("MAIL", b"550-a\r\n550 b\r\n", Kind.SUBMISSION, "submission failed: 550 a b, at"),
        ("MAIL", b"2x0 y\r\n", Kind.SUBMISSION, "submission failed: no SMTP reply: y, at"),
        ("MAIL", b"\r\n", Kind.SUBMISSION, "submission failed: no SMTP reply: (nothing), at"),
        ("MAIL", b"001 y\r\n", Kind.SUBMISSION, "submission failed: 1 y, at MAIL FROM on"),
        ("MAIL", b"000 y\r\n", Kind.SUBMISSION, "submission failed: no SMTP reply: y, at"),
    ],
)
def test_submission_refused_quotes_the_reply(
    verb: str, reply: bytes, kind: Kind, text: str
) -> None:
    """4xx is temporary (RFC 5321 section 4.2.1); a reply of several lines is one."""
    with SmtpServer(replies={verb: reply}) as server:
        error = failure(server)
    assert (error.kind, error.message[: len(text)]) == (kind, text)


def test_submission_to_a_forwarded_recipient_is_accepted() -> None:
    """251 of RFC 5321 section 3.4."""
    with SmtpServer(replies={"RCPT": b"251 will forward\r\n"}) as server:
        send(submission(server))
    assert len(server.mail) == 1


@pytest.mark.parametrize(
    ("is_offered", "text"),
    [
        (True, "submission refused for now: 454 later, at STARTTLS on "),
        (False, "submission failed: server does not offer STARTTLS on "),
    ],
)
def test_submission_without_starttls_names_the_step(is_offered: bool, text: str, pki: Pki) -> None:
    """The step is not repeated where the reason has it."""
    policy = TlsPolicy(Security.STLS, name="localhost", ca_file=str(pki.ca_file))
    extensions = ("STARTTLS",) if is_offered else ()
    with SmtpServer(extensions=extensions, replies={"STARTTLS": b"454 later\r\n"}) as server:
        made = submission(server, policy)
        with pytest.raises(ProbeError) as error:
            send(made)
    assert error.value.message.startswith(text)


def test_submission_with_a_refused_token_answers_the_reason() -> None:
    """The server ends the exchange after an empty response, and its reply counts."""

    class TokenServer(SmtpServer):
        def _log_in(self, connection: Connection, argument: str) -> bytes:
            connection.send(b"334 \r\n")
            connection.line()
            connection.send(b"334 " + b64encode(b'{"status":"401"}') + b"\r\n")
            self.logins.append(connection.line())
            return b"535 5.7.3 token expired\r\n"

    with TokenServer() as server:
        error = failure(server, mechanism="XOAUTH2")
    assert server.logins == [b""]
    assert "submission failed: 535 5.7.3 token expired, at AUTH on " in error.message
