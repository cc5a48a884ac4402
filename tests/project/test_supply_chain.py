"""Dependencies: few, pinned, and without side effects on import."""

from __future__ import annotations

import re
import subprocess
import sys
from configparser import ConfigParser
from importlib import metadata

import pytest
from packaging.requirements import Requirement

from tests.support.package import ROOT, modules

FILES = (
    "requirements.txt",
    "tests/requirements.txt",
    "packaging/requirements.txt",
    "tests/fuzz/requirements.txt",
)

# Ends the interpreter at the first side effect, which no handler can hide.
GUARD = """
import os, sys
def guard(event, arguments):
    reaches_out = event.startswith(("socket.", "subprocess.", "os.system", "os.exec", "os.fork",
        "os.posix_spawn", "os.remove", "os.rename", "os.mkdir", "shutil.", "urllib.", "ftplib.",
        "http.client.", "webbrowser.", "ctypes.dlopen"))
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (
        os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if reaches_out or writes:
        print(event, arguments, flush=True)
        os._exit(99)
sys.dont_write_bytecode = True
sys.addaudithook(guard)
"""


def guarded(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", GUARD + code], capture_output=True, text=True, check=False
    )


@pytest.mark.threat("T28")
def test_import_has_no_side_effects() -> None:
    """No socket, no process, no written file, in the plugin and its dependencies."""
    names = ", ".join(f"check_pop3_plus.{name}" for name in modules() if name != "__main__")
    done = guarded(f"import {names}, cryptography.x509, nagiosplugin\nprint(len(sys.modules))")

    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout) > 100
    assert done.stderr == ""


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.socket()",
        "import socket; socket.getaddrinfo('localhost', 1)",
        "import subprocess; subprocess.run(['true'])",
        "open('/dev/null', 'w')",
    ],
)
def test_import_guard_detects_side_effects(code: str) -> None:
    """Otherwise the test above would prove nothing."""
    assert guarded(code).returncode == 99


def pins(file: str) -> list[tuple[Requirement, str]]:
    """Return the requirements of a file, each with its hashes."""
    lines = (ROOT / file).read_text().replace("\\\n", "").splitlines()
    named = (line.partition(" --hash=") for line in lines if "==" in line)
    return [(Requirement(name), hashes) for name, _, hashes in named]


def pinned() -> dict[str, str]:
    """Return the versions pinned for this interpreter."""
    return {
        normal(each.name): str(each.specifier).removeprefix("==")
        for file in FILES
        for each, _ in pins(file)
        if each.marker is None or each.marker.evaluate()
    }


def normal(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


@pytest.mark.threat("T28")
def test_installed_versions_are_pinned() -> None:
    """All packages, except those that came with the interpreter."""
    ours = {normal(each.metadata["Name"]): each.version for each in metadata.distributions()}
    for name in ("check-pop3-plus", "pip"):
        ours.pop(name, None)

    assert {name: pinned().get(name) for name in ours} == ours


@pytest.mark.threat("T28")
@pytest.mark.parametrize("file", FILES)
def test_every_requirement_has_a_hash(file: str) -> None:
    """pip installs only files with these hashes."""
    named = pins(file)

    assert len(named) >= 5
    for each, hashes in named:
        assert re.fullmatch("==[^,*]+", str(each.specifier)), each
        assert re.match("sha256:[0-9a-f]{64}", hashes), each


@pytest.mark.threat("T28")
def test_run_time_dependencies_are_two() -> None:
    """There are only these and the dependencies of cryptography."""
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    lines = config["options"]["install_requires"].splitlines()
    needed = {re.split("[ <>=]", line)[0] for line in lines if line and not line.startswith("#")}

    assert needed == {"cryptography", "nagiosplugin"}
    brought = metadata.requires("cryptography") or []
    assert {re.split("[ <>=;(]", each)[0] for each in brought if "extra" not in each} <= {
        "cffi",
        "typing-extensions",
    }
    assert not [each for each in metadata.requires("nagiosplugin") or [] if "extra" not in each]
