"""What the README says is true."""

import re
from pathlib import Path

import pytest

from check_pop3_plus.check.default_states import FAILURE_STATES, NOTE_STATES
from check_pop3_plus.model.failures import Kind
from check_pop3_plus.options.table import parser
from tests.support.command import run

PROJECT = Path(__file__).parent.parent.parent
README = (PROJECT / "README.md").read_text()
IMAGES = PROJECT / "images"


def test_readme_options_equal_help() -> None:
    """The list shown is the output of `--help`."""
    shown = re.search(r"<!-- options: begin.*?```\n(.*?)```", README, re.DOTALL)

    assert shown is not None
    assert shown[1] == run("--help").out


def test_readme_lists_every_kind_with_its_state() -> None:
    """A kind is in the row of its default state."""
    rows = re.findall(r"^\| (`.*`) \| (CRITICAL|WARNING|OK|UNKNOWN|by)\b", README, re.MULTILINE)
    documented = {kind: state for kinds, state in rows for kind in re.findall(r"`(.*?)`", kinds)}

    assert set(documented) >= {kind.value for kind in Kind}
    noted = {Kind.NOT_STRICT: NOTE_STATES[Kind.NOT_STRICT]}
    for kind, state in (FAILURE_STATES | noted).items():
        assert documented[kind.value] == state.name


def test_readme_pictures_exist_and_are_small() -> None:
    """Each is a PNG below 150 kB, and no file is unused."""
    shown = re.findall(r"!\[.+?\]\((images/.+?)\)", README)

    assert {Path(name).name for name in shown} == {path.name for path in IMAGES.iterdir()}
    for path in IMAGES.iterdir():
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size < 150_000


SHIPPED_TEXTS = (".md", ".conf", ".cfg", ".ini")


@pytest.mark.threat("T7")
def test_options_and_examples_contain_no_secret() -> None:
    """A process list, a stored check result and a log would show it."""
    about_secrets = {flag for flag in parser().valued if re.search("pass|secret|token", flag)}
    assert about_secrets
    for flag in about_secrets:
        assert flag.endswith(("-file", "-env", "-command", "-url")), flag

    folder = Path(__file__).parent.parent.parent
    shipped = [folder / "README.md", *(folder / "icinga-templates").rglob("*.*")]
    texts = [
        path.read_text() for path in shipped if path.suffix in (".md", ".conf", ".cfg", ".ini")
    ]
    assert len(texts) > 5
    for text in texts:
        assert not re.findall(r"--(?:password|pass|secret|token)[ =]\S+", text)
