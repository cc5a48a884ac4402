"""Run the soak tests, and write their figures to a table for docs/robustness.md.

`make soak` runs all of them in full; `make soak SHARE=0.1` runs a tenth and writes nothing.
"""

import argparse
import importlib
import os
import platform
import sys
import time
from pathlib import Path

from tests.soak import Figure

PARTS = ("dialogues", "secrets", "mailboxes", "roundtrip", "properties", "chaos", "stalls")

TABLE = Path(__file__).with_name("figures.md")


def measure(part: str, share: float) -> list[Figure]:
    """Run one part, which prints failures as they happen, and return its figures."""
    began = time.monotonic()
    figures: list[Figure] = importlib.import_module(f"tests.soak.{part}").run(share)
    print(f"{part}: {time.monotonic() - began:.0f} s", flush=True)
    for figure in figures:
        print(f"  {figure.what}: {figure.runs:,} runs: {figure.result}", flush=True)
    return figures


def table(before: str, measured: dict[str, list[Figure]]) -> str:
    """Return the figures as Markdown; parts that were not measured keep their old rows."""
    day = time.strftime("%Y-%m-%d")
    known = [line for line in before.splitlines() if line.startswith("| ")][2:]
    rows = {part: [line for line in known if line.startswith(f"| {part} |")] for part in PARTS}
    rows |= {
        part: [
            f"| {part} | {each.what} | {each.runs:,} | {each.result} | {day} |" for each in found
        ]
        for part, found in measured.items()
    }
    lines = [
        f"{os.cpu_count()} processors, Python {platform.python_version()},"
        f" Linux {platform.release().partition('-')[0]}",
        "",
        "| part | what | runs | result | on |",
        "| --- | --- | --- | --- | --- |",
        *(row for part in PARTS for row in rows[part]),
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--share", type=float, default=1, help="fraction of the runs; default 1")
    parser.add_argument("parts", nargs="*", help=f"any of {', '.join(PARTS)}; default: all")
    chosen = parser.parse_args()
    measured = {part: measure(part, chosen.share) for part in chosen.parts or PARTS}
    if chosen.share == 1:
        TABLE.write_text(table(TABLE.read_text() if TABLE.exists() else "", measured))
    return 1 if any(each.defects for found in measured.values() for each in found) else 0


if __name__ == "__main__":
    sys.exit(main())
