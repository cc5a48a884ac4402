"""The manual page and the bash completion are made from the option table, and work."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from check_pop3_plus.options.table import ENTRIES
from tests.support import manual

BASH = shutil.which("bash") or ""


def test_manual_and_completion_are_generated() -> None:
    """`make generated` writes them."""
    assert manual.PAGE.read_text() == manual.page()
    assert manual.COMPLETION.read_text() == manual.completion()


@pytest.mark.parametrize(
    "command",
    [
        ["mandoc", "-Tlint", "-Wstyle", str(manual.PAGE)],
        ["groff", "-man", "-Tutf8", "-ww", "-z", str(manual.PAGE)],
        ["man", "--warnings", "-l", str(manual.PAGE)],
    ],
    ids=lambda command: command[0],
)
def test_manual_has_no_warning(command: Sequence[str]) -> None:
    """No formatter complains, and man shows every option."""
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "MANWIDTH": "200"}
    done = subprocess.run(command, capture_output=True, env=environment, check=False)

    assert done.returncode == 0
    assert done.stderr == b""
    if command[0] == "man":
        shown = done.stdout.decode()
        assert all(entry.name in shown for entry in ENTRIES)
    else:
        assert done.stdout == b""


LINES = {
    "--verify ch\t": ["--verify", "chain"],
    "--verify=ch\t": ["--verify=chain"],
    "--auth scram-sha-2\t": ["--auth", "scram-sha-256"],
    "--state time\twarn\t": ["--state", "timeout=warning"],
    "--state=time\tw\t": ["--state=timeout=warning"],
    "--phase-warning log\t2": ["--phase-warning", "login=2"],
    "-t 10:unk\t": ["-t", "10:unknown"],
    "-r cr\t": ["-r", "critical"],
    "--diagnose=dns,tc\t": ["--diagnose=dns,tcp"],
    "--diagnose --start\t": ["--diagnose", "--starttls"],
    "--refuse-cl\t": ["--refuse-cleartext-login"],
    "--ca-file roo\t": ["--ca-file", "root ca.pem"],
    "--ca-file=roo\t": ["--ca-file=root ca.pem"],
    "--ca-path dir\t": ["--ca-path", "directory/"],
    "--submit jso\t": ["--submit", "jsonl:-"],
    "--hostn\tpop.example.org --sens\tlow\t": [
        *("--hostname", "pop.example.org", "--sensitivity", "low"),
    ],
}


@pytest.mark.skipif(not BASH, reason="bash is not installed")
def test_completion_in_interactive_bash(tmp_path: Path) -> None:
    """Flags, choices, kinds, phases, lists and files are completed as they are typed."""
    (tmp_path / "root ca.pem").touch()
    (tmp_path / "directory").mkdir()
    found = tmp_path / "found"
    setup = [
        "check_pop3_plus() { printf '%s\\n' \"$@\" >>found; echo . >>found; }",
        f". {manual.COMPLETION}",
    ]
    typed = [*setup, *(f"check_pop3_plus {line}" for line in LINES), "exit"]
    terminal, other_end = pty.openpty()
    child = subprocess.Popen(
        [BASH, "--norc", "--noprofile", "-i"],
        stdin=other_end,
        stdout=other_end,
        stderr=other_end,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "TERM": "dumb", "LC_ALL": "C.UTF-8"},
        start_new_session=True,
    )
    os.close(other_end)
    os.write(terminal, "".join(f"{line}\n" for line in typed).encode())
    screen = b""
    try:
        while data := os.read(terminal, 65536):
            screen += data
    except OSError:  # the end of a terminal
        pass
    child.wait()
    os.close(terminal)

    parts = [part.split("\n") for part in found.read_text().removesuffix(".\n").split("\n.\n")]
    parts[-1] = [word for word in parts[-1] if word]
    assert parts == list(LINES.values()), screen.decode()


@pytest.mark.skipif(not BASH, reason="bash is not installed")
def test_completion_lists_every_option() -> None:
    """A dash alone is completed to each long option, and nothing is printed."""
    script = (
        f". {manual.COMPLETION}; COMP_WORDBREAKS=$' \\t\\n\"><=;|&(:'"
        " COMP_LINE='check_pop3_plus --' COMP_POINT=18;"
        ' _check_pop3_plus; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run([BASH, "-c", script], capture_output=True, check=True)

    assert done.stderr == b""
    assert done.stdout.decode().split() == [entry.name for entry in ENTRIES]
