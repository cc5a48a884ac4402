"""Probes: their keys, their message, and what is recognised as one."""

import hashlib
import hmac
from pathlib import Path

import pytest

from check_pop3_plus.delivery import probe_message
from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.model.settings import RoundTrip, Secret, Smtp, Target

KEY = Secret(bytes(range(33, 65)).hex().encode())
TRIP = RoundTrip("to@example.test", "", "host/pop", Smtp(Target("mx", 25), "from@example.test"))
NOW = 1_795_772_586.4


def key_file(folder: Path, content: bytes) -> str:
    file = folder / "key"
    file.touch(mode=0o600)
    file.write_bytes(content)
    return str(file)


@pytest.mark.parametrize(
    "lines", [[b"a1" * 8 + b"0123456789abcdef"], [b"0123456789abcdefX" * 2, b"01234567" * 4]]
)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_keys_are_one_or_two_lines(lines: list[bytes], end: bytes, tmp_path: Path) -> None:
    """The second is an older key; eight different bytes are the least."""
    path = key_file(tmp_path, end.join([*lines, b""]))

    assert [each.reveal() for each in probe_message.read_keys(path)] == lines


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", ", line 1, is shorter than 32 random bytes: openssl rand -hex 32"),
        (b"0123456789abcdef\n", ", line 1, is shorter than 32"),
        (b"x" * 32, ", line 1, does not look like 32 random bytes"),
        (bytes(range(40, 80)) + b"\n" + b"0123456" * 9, ", line 2, does not look like"),
        (b"\n".join([bytes(range(40, 80))] * 3), " has more than two lines"),
    ],
)
@pytest.mark.threat("T9")
def test_key_that_is_weak_is_config(content: bytes, reason: str, tmp_path: Path) -> None:
    """The key itself is never shown."""
    with pytest.raises(ProbeError) as caught:
        probe_message.read_keys(key_file(tmp_path, content))

    assert caught.value.kind is Kind.CONFIG
    assert caught.value.message.startswith(f"round trip key file {tmp_path}/key{reason}")


@pytest.mark.threat("T9")
def test_key_file_that_others_can_read_is_config(tmp_path: Path) -> None:
    """The rules are those of a password file."""
    path = key_file(tmp_path, bytes(range(40, 80)))
    Path(path).chmod(0o644)

    with pytest.raises(ProbeError, match="must be mode 0600"):
        probe_message.read_keys(path)


def composed() -> tuple[probe_message.Probe, list[bytes]]:
    probe, content = probe_message.compose(TRIP, KEY, NOW)
    return probe, content.split(b"\r\n")


def test_probe_is_recognised_by_its_key_alone() -> None:
    """Its time has whole seconds, as its Date; no other identifier, recipient or key fits."""
    probe, lines = composed()

    assert probe_message.recognise(lines, TRIP, [Secret(b"other" * 8), KEY]) == probe
    assert probe.sent == int(NOW)
    assert probe_message.recognise(lines, TRIP, [Secret(b"other" * 8)]) is None
    assert probe_message.recognise(lines, TRIP.replace(id="other"), [KEY]) is None
    assert probe_message.recognise(lines, TRIP.replace(recipient="x@y"), [KEY]) is None
    assert {b"Auto-Submitted: auto-generated", b"X-Auto-Response-Suppress: All"} <= set(lines)
    assert all(len(line) < 998 and line.isascii() for line in lines)


@pytest.mark.parametrize("name", [b"To", b"From", b"Date", b"Message-ID", b"X-Check-Pop3-Plus"])
@pytest.mark.threat("T19")
def test_probe_with_a_field_changed_missing_or_twice_is_foreign(name: bytes) -> None:
    """Each field that the MAC covers counts once."""
    _, lines = composed()
    own = next(line for line in lines if line.startswith(name))
    others = [line for line in lines if line != own]

    assert probe_message.recognise([own, *others], TRIP, [KEY])
    for changed in (others, [own, *lines], [own + b"x", *others]):
        assert probe_message.recognise(changed, TRIP, [KEY]) is None


@pytest.mark.parametrize(
    "value",
    [b"", b"v=1", b"v=2; id=a; mac=" + b"0" * 64, b"v=1; id=; mac=" + b"f" * 64, b"\xff" * 4096],
)
def test_field_that_is_malformed_is_foreign(value: bytes) -> None:
    """Anyone can send it."""
    _, lines = composed()
    name = probe_message.FIELD.encode()
    forged = [line for line in lines if not line.startswith(name)]

    assert probe_message.recognise([name + b": " + value, *forged], TRIP, [KEY]) is None


def test_probe_has_a_fixed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other programs send it, too: the MAC is the one that docs/delivery.md computes."""
    monkeypatch.setattr(probe_message, "token_hex", lambda count: "ab" * count)
    _, lines = composed()

    date, message_id = (
        "Fri, 27 Nov 2026 09:43:06 -0000",
        f"<1795772586.{'ab' * 12}.probe@example.test>",
    )
    covered = f"host/pop\nto@example.test\nfrom@example.test\n{date}\n{message_id}"
    mac = hmac.new(KEY.reveal(), covered.encode(), hashlib.sha256).hexdigest()
    expected = f"""From: from@example.test
To: to@example.test
Date: {date}
Message-ID: {message_id}
Subject: Round trip probe of check_pop3_plus
Auto-Submitted: auto-generated
X-Auto-Response-Suppress: All
MIME-Version: 1.0
Content-Type: text/plain; charset=us-ascii
X-Check-Pop3-Plus-Probe: v=1; id=host/pop; mac={mac}

A probe of a monitoring system, which deletes it itself.
"""
    assert [line.decode() for line in lines] == expected.split("\n")
