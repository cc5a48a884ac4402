"""The modules of the package, as files and by their dotted names."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PACKAGE = ROOT / "check_pop3_plus"


@cache
def modules() -> tuple[str, ...]:
    """Return the dotted names of all modules below the package: `net.tls`, `start`."""
    names = (path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py"))
    return tuple(sorted(".".join(name.parts) for name in names if name.name != "__init__"))


def source(module: str) -> Path:
    """Return the file of a module."""
    return PACKAGE / (module.replace(".", "/") + ".py")


@cache
def tree(module: str) -> ast.Module:
    """Return the syntax tree of a module."""
    return ast.parse(source(module).read_text())


def folder(module: str) -> str:
    """Return the folder of a module, or the name of a module at the top level."""
    return module.partition(".")[0]
