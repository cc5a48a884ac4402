"""The page of the kinds of failure, `docs/kinds.md`: its generated parts, and its examples."""

from __future__ import annotations

import difflib
import re
from functools import cache
from typing import NamedTuple

from check_pop3_plus.check.default_states import POLICIES
from check_pop3_plus.model.failures import LOCAL, Kind
from check_pop3_plus.model.settings import State
from tests.support import recorded
from tests.support.documents import PROJECT

PAGE = PROJECT / "docs" / "kinds.md"

_BEGIN = "<!-- kinds: begin; made by `make generated` -->\n"
_END = "<!-- kinds: end -->"
_HEADING = re.compile(r"^### (.+)$", re.MULTILINE)
_EXAMPLE = re.compile(r"^Line 1: `(.+)`$", re.MULTILINE)
_REPLY = re.compile(r"^- (greeting|after [A-Z]+(?: without TLS)?): `(.+?)` \(", re.MULTILINE)


class Section(NamedTuple):
    """The section of a kind."""

    kind: Kind
    text: str

    @property
    def meaning(self) -> str:
        """The first paragraph of prose."""
        return next(
            part for part in self.text.split("\n\n")[1:] if not part.startswith(("State: ", "Line"))
        )

    @property
    def examples(self) -> list[str]:
        """The status lines that are shown, without performance data."""
        return _EXAMPLE.findall(self.text)

    @property
    def replies(self) -> list[tuple[str, str]]:
        """The replies of servers that lead to this kind, and what they reply to."""
        return _REPLY.findall(self.text)


def sections(page: str) -> list[Section]:
    """Return the sections of the page in its order."""
    starts = [found.start() for found in _HEADING.finditer(page)]
    parts = [page[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]
    return [
        Section(Kind(part.partition("\n")[0][4:]), part.partition("\n## ")[0]) for part in parts
    ]


def state(kind: Kind) -> str:
    """Return the default state of a kind in words."""
    policy = POLICIES[kind]
    retried = "; retried" if policy.is_transient else ""
    if kind in LOCAL:
        return "UNKNOWN, always"
    if policy.state is None:
        return f"by its thresholds{retried}"
    if policy.note_state is State.OK:
        note = "OK, a note with `-v`"
        if kind is Kind.NOT_STRICT:
            return f"{note}; {policy.state.name} with `--x509-strict`"
        return f"{policy.state.name}; {note}, where the check went on"
    if policy.state is State.OK:
        return f"OK, a note with `-v`{retried}"
    less = f", or {policy.note_state.name} where the check went on" if policy.note_state else ""
    return f"{policy.state.name}{less}{retried}"


def rewritten(page: str) -> str:
    """Return the page with its generated parts: the overview, the states, and the examples."""
    for section in sections(page):
        heading = f"### {section.kind.value}\n"
        text = re.sub(r"\nState: .*\n", "", section.text, count=1)
        text = text.replace(heading, f"{heading}\nState: {state(section.kind)}.\n", 1)
        for example in section.examples:
            text = text.replace(f"`{example}`", f"`{_nearest(section.kind, example)}`")
        page = page.replace(section.text, text, 1)
    rows = [
        f"| [`{each.kind.value}`](#{each.kind.value}) | {state(each.kind)} | {each.meaning} |"
        for each in sections(page)
    ]
    table = "\n".join(("| Kind | State | |", "| --- | --- | --- |", *rows, ""))
    before, _, rest = page.partition(_BEGIN)
    return before + _BEGIN + table + _END + rest.partition(_END)[2]


def _nearest(kind: Kind, example: str) -> str:
    known = [*lines(kind), *(line.partition(" (localhost")[0] for line in lines(kind))]
    if any(line.startswith(example) for line in known):
        return example
    return next(iter(difflib.get_close_matches(example, known, 1, 0.0)), example)


@cache
def lines(kind: Kind) -> tuple[str, ...]:
    """Return the recorded status lines of a kind, without performance data."""
    own = re.compile(rf"^(kind: {kind.value}(?!-)\b|POP3 UNKNOWN - {kind.value}: )", re.MULTILINE)
    files = (recorded.read(file.read_text()) for file in sorted(recorded.FOLDER.glob("*.txt")))
    entries = (entry.out for file in files for entry in file.values() if own.search(entry.out))
    return tuple(dict.fromkeys(out.partition("\n")[0].partition(" | ")[0] for out in entries))
