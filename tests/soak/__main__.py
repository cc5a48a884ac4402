"""Run the long runs, and write their figures into a file that the README quotes.

`make soak` runs all of them in full; `make soak SHARE=0.1` a tenth, which writes nothing.
"""

import argparse
import importlib
import os
import platform
import sys
import time
from pathlib import Path

from tests.soak import Figure

PARTS = ("dialogues", "secrets", "mailboxes", "properties", "chaos", "stalls")

TABLE = Path(__file__).with_name("figures.md")


def measure(part: str, share: float) -> list[Figure]:
    """Run one part; what went wrong is printed by the part as it happens."""
    began = time.monotonic()
    figures: list[Figure] = importlib.import_module(f"tests.soak.{part}").run(share)
    print(f"{part}: {time.monotonic() - began:.0f} s", flush=True)
    for figure in figures:
        print(f"  {figure.what}: {figure.runs:,} runs: {figure.result}", flush=True)
    return figures


def table(figures: list[Figure]) -> str:
    """Return the figures as Markdown, with the day and the machine."""
    lines = [
        f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} processors, Python"
        f" {platform.python_version()}, Linux {platform.release().partition('-')[0]}",
        "",
        "| what | runs | result |",
        "| --- | --- | --- |",
        *(f"| {each.what} | {each.runs:,} | {each.result} |" for each in figures),
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--share", type=float, default=1, help="this part of each; default 1")
    parser.add_argument("parts", nargs="*", help="default: all")
    chosen = parser.parse_args()
    figures = [figure for part in chosen.parts or PARTS for figure in measure(part, chosen.share)]
    if chosen.share == 1 and not chosen.parts:
        TABLE.write_text(table(figures))
    return 1 if any(figure.defects for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
