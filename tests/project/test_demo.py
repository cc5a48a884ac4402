"""The demo shows what it announces."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import demo


def run_demo(*args: str) -> str:
    # Without HOST and the other variables of the environment.
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.demo", *args],
        cwd=Path(__file__).parent.parent.parent,
        env={"LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == b""
    assert done.returncode == 0
    return done.stdout.decode()


def parts(printed: str) -> list[str]:
    return printed.strip().split("\n\n")


def children_seconds() -> float:
    """Return CPU time, because elapsed time depends on the load of the machine."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_demo_runs_end_in_announced_states() -> None:
    """No secret is shown, and it ends soon."""
    before = children_seconds()
    printed = run_demo()
    seconds = children_seconds() - before

    pattern = re.compile(
        r"# .+: (?P<state>[A-Z]+)\n\$ check_pop3_plus -H localhost -p \d+.*\n"
        r"POP3 (?P=state) - .+\n(?s:.*)exit code \d \((?P=state)\)"
    )
    matches = [pattern.fullmatch(part) for part in parts(printed)]
    states = [match["state"] if match else None for match in matches]
    assert states == ["OK"] * 5 + ["WARNING", "CRITICAL", "CRITICAL"], printed
    assert "horse" not in printed
    assert "battery" not in printed
    assert seconds < 5


def test_demo_with_host_accepts_any_result() -> None:
    """Against a real server the demo reports; without a login it says what it skips."""
    plain, login, certificate, expiry = parts(run_demo("--host", "127.0.0.1"))

    assert plain.splitlines()[1] == "$ check_pop3_plus -H 127.0.0.1"
    assert "skipped" in login
    assert "$" not in login
    assert certificate.splitlines()[1] == "$ check_pop3_plus -H 127.0.0.1 -S"
    assert expiry.splitlines()[1] == "$ check_pop3_plus -H 127.0.0.1 -S -D 60"
    assert all("exit code " in part for part in (plain, certificate, expiry))


def test_demo_with_host_and_login_logs_in(tmp_path: Path) -> None:
    """The command shown can be pasted, and contains no secret."""
    secret = tmp_path / "password file"
    secret.touch(mode=0o600)
    secret.write_text("xyzzy-secret\n")
    printed = run_demo("--host", "127.0.0.1", "--login", "monitor", "--password-file", str(secret))

    assert f"-S -U monitor --password-file '{secret}'\n" in parts(printed)[1]
    assert "xyzzy" not in printed


def test_demo_fails_on_unannounced_state(capsys: pytest.CaptureFixture[str]) -> None:
    """The demo fails if a result is not the announced one."""
    assert not demo.show("version", "--version", state="OK")
    assert "exit code 3 (UNKNOWN)" in capsys.readouterr().out
    assert demo.show("version", "--version", state="UNKNOWN")
    assert demo.show("version", "--version")
