"""The documents: their pages, and the commands that they show with output.

A block with a comment in front, such as

    <!-- shown: expiring, 4 lines -->

holds commands behind `$ ` and their output against that scenario of `shown_world`. `1 line` shows
the status line without performance data; `N lines` the first ones, then `...`; no number shows
everything. `make generated` rewrites the blocks whose output has changed.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.servers.network import require_owner_of_root, unshare_mounts
from tests.support import recorded, shown_world

PROJECT = Path(__file__).parent.parent.parent
PAGES = (PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md")))

_BLOCK = re.compile(
    r"(?P<head><!-- shown: (?P<scenario>[a-z ]+)(?:, (?P<lines>\d+) lines?)? -->\n```\n)"
    r"(?P<body>.*?)(?=^```$)",
    re.DOTALL | re.MULTILINE,
)
_VARYING = (
    # These, too, differ between two runs, but not between two runs of a recorded test.
    (re.compile(r"\b(\w+_days\w*)=-?\d+\.\d+"), r"\1=DAYS"),
    (re.compile(r"\d+(\.\d+)? ?ms\b"), "MS"),
    (re.compile(r"[0-9A-Fa-f:]{24,}|\bserial \S+"), "HEX"),
    (re.compile(r"\bin \d+\.\d s"), "in TIME s"),
    # JSON and metrics.
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:]+Z|DATET[\d:]+Z"), "DATE"),
    (re.compile(r"(seconds(\{.*\})?:?\"?:? |\"value\": )\d+\.\d+"), r"\1NUMBER"),
    (re.compile(r" +#*(?=\n|$)"), ""),
)


class Shown(NamedTuple):
    """One command and its output, as a page shows them."""

    scenario: str
    lines: int | None
    command: str
    output: str


def shown(page: str) -> list[Shown]:
    """Return every command of a page that is shown with its output."""
    return [each for block in _BLOCK.finditer(page) for each in _commands(block)]


def _commands(block: re.Match[str]) -> Iterator[Shown]:
    lines = int(block["lines"]) if block["lines"] else None
    for part in re.split(r"^\$ ", block["body"], flags=re.MULTILINE)[1:]:
        end = re.search(r"(?<!\\)\n", part)
        assert end, part
        command, output = part[: end.start()], part[end.end() :].rstrip("\n")
        yield Shown(block["scenario"], lines, command, output)


def abridged(output: str, lines: int | None) -> str:
    """Return as much of an output as a page shows."""
    found = output.rstrip("\n").split("\n")
    if lines == 1:
        return found[0].partition(" | ")[0]
    return "\n".join([*found[:lines], "..."] if lines and len(found) > lines else found)


def normalised(output: str) -> str:
    """Return an output without what differs between two runs."""
    text = recorded.normalised(output)
    for pattern, replacement in _VARYING:
        text = pattern.sub(replacement, text)
    return text


def rewritten(page: str, outputs: Iterator[str]) -> str:
    """Return a page with the outputs of its commands, unchanged where only times differ."""

    def block(found: re.Match[str]) -> str:
        parts = []
        for each in _commands(found):
            fresh = abridged(next(outputs), each.lines)
            kept = normalised(fresh) == normalised(each.output)
            parts.append(f"$ {each.command}\n{each.output if kept else fresh}\n")
        return found["head"] + "\n".join(parts)

    return _BLOCK.sub(block, page)


def outputs(pages: tuple[str, ...]) -> tuple[str, ...]:
    """Run every command of these pages, and return the outputs; skip the test if that fails."""
    steps = [(each.scenario, each.command, "") for page in pages for each in shown(page)]
    order = sorted(range(len(steps)), key=lambda number: steps[number][0])
    found = dict(zip(order, run([steps[number] for number in order]), strict=True))
    return tuple(found[number] for number in range(len(steps)))


def run(steps: list[tuple[str, str, str]]) -> list[str]:
    """Return the outputs of steps, each a scenario, a command and what is typed into it."""
    require_owner_of_root()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        shown_world.prepare(folder)
        again = shlex.join([sys.executable, "-m", "tests.support.shown_world"])
        done = subprocess.run(
            [
                *unshare_mounts("--net"),
                "sh",
                "-c",
                shown_world.SETUP.format(folder=folder, again=again),
            ],
            input=json.dumps(steps).encode(),
            capture_output=True,
            cwd=PROJECT,
            env={"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"},
            check=False,
        )
    assert done.returncode == 0, done.stderr.decode()
    return [str(each) for each in json.loads(done.stdout)]


def anchors(page: str) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub makes them."""
    without_code = re.sub(r"^```.*?^```$", "", page, flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", without_code, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


def plugin_commands(page: str) -> Iterator[str]:
    """Return every command line of the plugin on a page, in a block or in the text."""
    code = "\n".join(re.findall(r"^ *```\n(.*?)^ *```$", page, re.DOTALL | re.MULTILINE))
    lines = code.replace("\\\n", " ").splitlines()
    for text in (*lines, *re.findall(r"`([^`\n]+)`", page)):
        for found in re.finditer(r"(?:^|[\s/])(check_pop3_plus +-[^|]*)", text):
            yield found[1].strip()
