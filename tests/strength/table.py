"""What became of the mutants, by module; and which of the survivors are explained."""

import platform
import re
import time
from pathlib import Path
from typing import NamedTuple

from tests.strength import GROUPS

WANTED = 80
"""Per cent that must be killed, in each group, unless `_WANTED_OF` asks for more."""

_WANTED_OF = dict.fromkeys(
    ("sweep", "submission", "diagnosis", "programs and files", "delivery", "options"), 90
)

_KEPT = Path(__file__).with_name("kept.md")


class Outcome(NamedTuple):
    """What became of one mutant."""

    key: str
    module: str
    killed: bool
    hung: bool


def explained() -> set[str]:
    """Return the survivors that `kept.md` gives a reason for."""
    return set(re.findall(r"^- ``(.+?)``$", _KEPT.read_text(), re.MULTILINE))


def table(outcomes: list[Outcome], kept: set[str], tests: str, minutes: float) -> tuple[str, bool]:
    """Return the score of each module in Markdown, and whether each is good enough."""
    lines = [
        f"Written by `make mutants`: {time.strftime('%Y-%m-%d')}, Python"
        f" {platform.python_version()}, {tests}, {minutes:.0f} minutes.",
        "",
        "| module | mutants | killed | of these hung | survived | of these explained | score |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    is_enough = True
    every = {"all": tuple(module for modules in GROUPS.values() for module in modules)}
    for name, modules in (GROUPS | every).items():
        of_group = [each for each in outcomes if each.module in modules]
        if not of_group:
            continue
        killed = sum(each.killed for each in of_group)
        survivors = {each.key for each in of_group if not each.killed}
        score = 100 * killed / len(of_group)
        is_enough &= score >= _WANTED_OF.get(name, WANTED)
        hung = sum(each.hung for each in of_group)
        lines.append(
            f"| {name} | {len(of_group):,} | {killed:,} | {hung} | {len(survivors)}"
            f" | {len(survivors & kept)} | {score:.1f} % |"
        )
    unexplained = [each.key for each in outcomes if not each.killed and each.key not in kept]
    lines += ["", f"Survived without an explanation in `kept.md`: {len(unexplained)}.", ""]
    lines += [f"- ``{key}``" for key in unexplained]
    return "\n".join(lines).rstrip("\n") + "\n", is_enough
