"""The SMTP login of a round trip, and what of a reply is quoted after it."""

from base64 import b64decode

import pytest

from check_pop3_plus.delivery.submission import submit
from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.model.settings import Login, Secret, SecretSource, Smtp, Target
from check_pop3_plus.net.smtp import Mail
from check_pop3_plus.support.deadline import Clock, Deadline
from check_pop3_plus.support.masking import Masker
from tests.servers.smtp_server import SmtpServer

MAIL = Mail("from@example.test", "to@example.test", b"Subject: x\r\n\r\nx\r\n")


def submitted(
    server: SmtpServer, secret: str, username: str = "user", mechanism: str = "auto"
) -> None:
    login = Login(username, SecretSource(), mechanism)
    settings = Smtp(Target("127.0.0.1", server.port), MAIL.sender, login=login)
    revealed = Secret(secret.encode())
    submit(settings, MAIL, revealed, Masker([secret.encode()]), Deadline(Clock() + 5))


@pytest.mark.parametrize(
    ("secret", "shown"), [("canary", "535 5.7.8 no such user: ***"), ("short", "***")]
)
def test_login_refused_quotes_no_secret(secret: str, shown: str) -> None:
    """One that is too short to be masked hides the whole reply."""
    with SmtpServer(users={"user": "other"}) as server, pytest.raises(ProbeError) as error:
        submitted(server, secret)
    assert f"submission failed: {shown}, at AUTH on 127.0.0.1:" in error.value.message


@pytest.mark.parametrize(
    ("offered", "names"), [((), "none"), (("AUTH CRAM-MD5 GSSAPI",), "CRAM-MD5 GSSAPI")]
)
def test_login_without_a_common_mechanism_names_both_sides(
    offered: tuple[str, ...], names: str
) -> None:
    with SmtpServer(extensions=offered) as server, pytest.raises(ProbeError) as error:
        submitted(server, "canary")
    assert f"offers no PLAIN or LOGIN (only: {names}), at AUTH on" in error.value.message
    assert error.value.kind is Kind.SUBMISSION
    assert [each[:4].lower() for each in server.commands] == [b"ehlo"]


def test_login_takes_mechanisms_in_lower_case_and_any_user_name() -> None:
    """Names of mechanisms are the same in any case; a user name may be no UTF-8."""
    replies = {"AUTH": b"235 OK\r\n"}
    with SmtpServer(extensions=("AUTH plain",), replies=replies) as server:
        server._log_in = lambda *_: b""  # type: ignore[method-assign]
        submitted(server, "canary", username="us\udce9r")
    response = next(each for each in server.commands if each.startswith(b"AUTH PLAIN "))
    assert b64decode(response.split()[2]) == b"\0us\xe9r\0canary"
