"""The README matches the plugin."""

import re
from pathlib import Path

import pytest

from check_pop3_plus.check.default_states import POLICIES
from check_pop3_plus.model.failures import Kind
from tests.support import generated
from tests.support.command import run
from tests.support.option_list import VALUED

PROJECT = Path(__file__).parent.parent.parent
README = (PROJECT / "README.md").read_text()
IMAGES = PROJECT / "images"


def test_readme_options_are_generated_from_the_table() -> None:
    """The block is what `make generated` writes, and what `--help` prints."""
    assert generated.readme() == README
    assert f"```\n{run('--help').out}```" in README


def test_readme_lists_every_kind_with_its_state() -> None:
    """A kind is in the row of its default state."""
    rows = re.findall(r"^\| (`.*`) \| (CRITICAL|WARNING|OK|UNKNOWN|by)\b", README, re.MULTILINE)
    documented = {kind: state for kinds, state in rows for kind in re.findall(r"`(.*?)`", kinds)}

    assert set(documented) >= {kind.value for kind in Kind}
    for kind, policy in POLICIES.items():
        # `not-strict` is a failure only with `--x509-strict`.
        state = policy.note_state if kind is Kind.NOT_STRICT else policy.state
        assert documented[kind.value] == (state.name if state else "by")


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
    about_secrets = {flag for flag in VALUED if re.search("pass|secret|token", flag)}
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
