"""The documents match the plugin: options, kinds, commands and their output."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from check_pop3_plus.check.default_states import POLICIES
from check_pop3_plus.model.failures import Kind
from check_pop3_plus.model.settings import State
from tests.support import documents, generated, kinds_page
from tests.support.command import run
from tests.support.documents import PAGES, PROJECT
from tests.support.in_process import Scenario, Script, Stage, said
from tests.support.option_list import VALUED

IMAGES = PROJECT / "images"
README = (PROJECT / "README.md").read_text()
KINDS = kinds_page.PAGE.read_text()
SECTIONS = kinds_page.sections(KINDS)


# --- options and secrets -----------------------------------------------------------------------


def test_option_list_is_generated_from_the_table() -> None:
    """The block is what `make generated` writes, and what `--help` prints."""
    page = generated.options_page()

    assert generated.OPTIONS.read_text() == page
    assert f"```\n{run('--help').out}```" in page


@pytest.mark.threat("T7")
def test_options_and_examples_contain_no_secret() -> None:
    """A process list, a stored check result and a log would show it."""
    about_secrets = {flag for flag in VALUED if re.search("pass|secret|token", flag)}
    assert about_secrets
    for flag in about_secrets:
        assert flag.endswith(("-file", "-env", "-command", "-url")), flag

    texts = [
        path.read_text()
        for path in (*PAGES, *(PROJECT / "icinga-templates").rglob("*.*"))
        if path.suffix in (".md", ".conf", ".cfg", ".ini")
    ]
    assert len(texts) > 5
    for text in texts:
        assert not re.findall(r"--(?:password|pass|secret|token)[ =]\S+", text)


# --- kinds -------------------------------------------------------------------------------------


def test_page_of_kinds_is_generated_from_the_table() -> None:
    """States and overview are those of the code, and each kind has one section."""
    assert kinds_page.rewritten(KINDS) == KINDS, "run `make generated`"
    assert sorted(each.kind.value for each in SECTIONS) == sorted(kind.value for kind in Kind)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda each: each.kind.value)
def test_kind_shows_a_status_line_that_a_test_has_produced(section: kinds_page.Section) -> None:
    """It is recorded, or the page shows a command with it; only notes have none."""
    known = kinds_page.lines(section.kind)
    for example in section.examples:
        assert any(line.startswith(example) for line in known), known

    is_note = POLICIES[section.kind].state is State.OK
    assert section.examples or documents.shown(section.text) or is_note


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage().set() as stage:
        yield stage


REPLIES = [(each.kind, *reply) for each in SECTIONS for reply in each.replies]


def test_page_of_kinds_quotes_servers() -> None:
    """Kinds that depend on the words of a server show some."""
    assert len(REPLIES) > 40


@pytest.mark.parametrize(("kind", "where", "reply"), REPLIES)
def test_reply_of_a_server_leads_to_the_kind_of_its_section(
    kind: Kind, where: str, reply: str, stage: Stage
) -> None:
    """The plugin reports this kind where a server sends that text."""
    line, method = reply.encode() + b"\r\n", None if where == "greeting" else "user"
    before = {
        "after USER without TLS": (b"+OK\r\n",),
        "after PASS": (b"+OK\r\n", b"+OK\r\n"),
        "after STAT": (b"+OK\r\n", b"+OK\r\n", b"+OK\r\n"),
    }.get(where, ())
    security = "plain" if where.endswith("without TLS") or where == "greeting" else "tls"
    turns = (*map(said, before), said(line), said(b"+OK\r\n"))
    played = stage.play(Script(Scenario(security, method), turns))

    assert re.findall(r"^kind: ([a-z-]+)", played.run.out, re.MULTILINE) == [kind.value]


# --- commands ----------------------------------------------------------------------------------

TEXTS = tuple(path.read_text() for path in PAGES)


def test_shown_output_is_that_of_the_command() -> None:
    """`make generated` runs the commands and writes their output."""
    outputs = iter(documents.outputs(TEXTS))

    for path, text in zip(PAGES, TEXTS, strict=True):
        assert documents.rewritten(text, outputs) == text, f"{path.name}: run `make generated`"


# --- links and pictures ------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_to_a_file_and_a_heading(path: Path) -> None:
    """Each relative link names an existing file, and its anchor a heading of it."""
    for target, anchor in re.findall(
        r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)", path.read_text()
    ):
        file = (path.parent / target).resolve() if target else path
        assert file.exists(), target
        if anchor:
            assert anchor in documents.anchors(file.read_text()), f"{target}#{anchor}"


def test_pictures_exist_and_are_small() -> None:
    """Each is a PNG below 150 kB, and no file is unused."""
    shown = {
        Path(name).name
        for text in TEXTS
        for name in re.findall(r"!\[.+?\]\((\S+images/.+?|images/.+?)\)", text)
    }

    assert shown == {path.name for path in IMAGES.iterdir()}
    for path in IMAGES.iterdir():
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size < 150_000
