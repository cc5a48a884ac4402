"""Files that the user names, and standard output."""

import os
import time
from pathlib import Path

import pytest

from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.model.settings import State
from check_pop3_plus.support import files


def refused(path: Path | str, limit: int = files.SIZE_LIMIT) -> str:
    with pytest.raises(ProbeError) as caught:
        files.read_file(str(path), "options file", limit)
    assert caught.value.kind is Kind.CONFIG
    return caught.value.message


def test_read_file_returns_content_up_to_the_limit(tmp_path: Path) -> None:
    """The limit itself is allowed."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 1024**2)

    assert files.read_file(str(path), "options file") == b"x" * 1024**2
    path.write_bytes(b"x" * (1024**2 + 1))
    assert refused(path) == f"options file {path} is larger than 1 MiB"
    assert refused(path, 3 * 1024**2 // 4) == f"options file {path} is larger than 0 MiB"


def test_read_file_that_is_not_regular_is_refused_at_once(tmp_path: Path) -> None:
    """A FIFO does not hang."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    began = time.monotonic()

    for path in (fifo, tmp_path, "/dev/zero"):
        assert refused(path) == f"options file {path} is not a regular file"
    assert time.monotonic() - began < 0.5


def test_read_file_error_names_the_reason(tmp_path: Path) -> None:
    """The path is sanitised; a null byte has no text of the system."""
    path = tmp_path / "missing"

    assert refused(path) == f"cannot read options file {path}: No such file or directory"
    assert refused("a\0b") == "cannot read options file a?b: invalid path"


def test_read_secret_file_returns_content(tmp_path: Path) -> None:
    """All of its rules: see `tests/unit/probe/test_password_source.py`."""
    path = tmp_path / "secret"
    path.write_bytes(b"s3cret\n")
    path.chmod(0o600)

    assert files.read_secret_file(str(path), "password file") == b"s3cret\n"
    path.chmod(0o644)
    with pytest.raises(ProbeError, match="must be mode 0600") as caught:
        files.read_secret_file(str(path), "password file")
    assert caught.value.kind is Kind.CONFIG


def test_emit_unwritable_output_is_unknown(capfd: pytest.CaptureFixture[str]) -> None:
    """Text is written as ASCII; nobody takes an OK for granted that could not be written."""
    assert files.emit("fine: \u00e9\n", State.OK) == 0
    assert capfd.readouterr().out == "fine: ?\n"
    saved = os.dup(1)
    os.close(1)
    try:
        assert files.emit("fine\n", State.OK) == 3
        assert not files.write_output("fine\n")
    finally:
        os.dup2(saved, 1)
        os.close(saved)
