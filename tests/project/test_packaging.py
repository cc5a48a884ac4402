"""Packages and the public workflow: their versions, and what they refer to."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from check_pop3_plus import RELEASED, __version__
from tests.support.package import ROOT

WORKFLOW = ROOT / ".github/workflows/test.yml"
PACKAGING = ROOT / "packaging"


def test_workflow_matches_its_schema() -> None:
    """check-jsonschema has the schema of the forge."""
    pytest.importorskip("check_jsonschema")
    schema = ["--builtin-schema", "vendor.github-workflows"]
    command = [sys.executable, "-m", "check_jsonschema", *schema, str(WORKFLOW)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_workflow_calls_exist() -> None:
    """Each command of the project is executable, and each target of make is in the Makefile."""
    runs = re.findall(r"\brun: *(.*)", WORKFLOW.read_text())
    assert not [run for run in runs if re.match("[|>]|$", run)], "one line each, to be read here"
    steps = [step.split() for run in runs for step in re.split("&&|[;|]", run)]
    targets = {name for first, *names in steps if first == "make" for name in names}
    scripts = {first for first, *_ in steps if "/" in first}

    assert targets
    assert scripts == {".ci/run"}
    for name in targets:
        assert re.search(rf"^{name}:", (ROOT / "Makefile").read_text(), re.MULTILINE), name
    for script in scripts:
        assert (ROOT / script).stat().st_mode & 0o111


def test_debian_changelog_has_the_version_of_the_package(tmp_path: Path) -> None:
    """`make generated` writes it from the version and its date."""
    for name in ("packaging", "debian", "check_pop3_plus/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    written = tmp_path / "debian/changelog"
    written.unlink()
    subprocess.run([tmp_path / "packaging/debian-changelog"], check=True)

    assert written.read_text() == (ROOT / "debian/changelog").read_text()
    assert written.read_text().startswith(f"check-pop3-plus ({__version__}-1) unstable")


def test_version_is_written_in_no_other_file() -> None:
    """The spec file and the scripts take version and date from the package."""
    written = [*PACKAGING.iterdir(), *(ROOT / "debian").glob("*[!g]"), ROOT / "setup.cfg"]
    for path in written:
        if path.is_file() and path.name != "requirements.txt":
            text = path.read_text()
            assert RELEASED not in text, path
            assert f"-{__version__}" not in text, path


def test_debian_copyright_has_the_license() -> None:
    """Word for word."""
    license_, copyright_ = (
        " ".join((ROOT / name).read_text().replace("\n .\n", "\n\n").split())
        for name in ("LICENSE", "debian/copyright")
    )
    assert license_.partition("Permission is")[2] in copyright_


def launcher(directory: Path) -> str:
    return subprocess.check_output([str(PACKAGING / "launcher"), str(directory)], text=True)


def test_launcher_runs_isolated_from_a_private_directory(tmp_path: Path) -> None:
    """A module in the working directory or PYTHONPATH does not replace one of the package."""
    (tmp_path / "check_pop3_plus").mkdir()
    (tmp_path / "check_pop3_plus/start.py").write_text("raise SystemExit('imported')\n")
    text = launcher(ROOT)
    assert text.startswith("#!/usr/bin/python3 -I\n")
    command = tmp_path / "command"
    command.write_text(text.replace("/usr/bin/python3", sys.executable, 1))
    command.chmod(0o755)
    done = subprocess.run(
        [command, "--version"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (3, f"check_pop3_plus {__version__}\n"), done.stderr


def test_bundle_of_another_python_is_refused() -> None:
    """One line names both, exit code 3."""
    script = [sys.executable, "-I", str(PACKAGING / "bundle.py")]
    other = "python3.1-sparc-glibc"
    run = {"capture_output": True, "text": True, "check": False}
    done = subprocess.run([*script, "run", other, "-V"], **run)  # type: ignore[call-overload]
    kind = subprocess.run([*script, "kind"], **run).stdout.strip()  # type: ignore[call-overload]

    assert kind.startswith(f"python3.{sys.version_info.minor}-")
    assert done.returncode == 3
    assert done.stdout.splitlines()[0] == (
        f"POP3 UNKNOWN - config: this archive is for {other}, this is {kind}: take the one for it"
    )


def test_bundle_without_python_says_so(tmp_path: Path) -> None:
    """No interpreter in PATH: one line instead of an error of the shell."""
    done = subprocess.run(
        ["/bin/sh", PACKAGING / "bundle-launcher"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout.startswith("POP3 UNKNOWN - config: Python is missing: this archive needs ")


OLD_PYTHON = "import sys; sys.version_info = (3, 9, 25); exec(sys.argv[1])"


def make_venv(folder: Path, *given: str) -> list[str]:
    """Return what `make venv` says when it refuses to make the environment."""
    done = subprocess.run(
        ["make", "venv", *given], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    return done.stderr.splitlines()


@pytest.mark.parametrize(
    "script", [None, "echo Traceback >&2; exit 1", f"{sys.executable} -c '{OLD_PYTHON}' \"$2\""]
)
def test_environment_without_python_names_what_is_missing(
    tmp_path: Path, script: str | None
) -> None:
    """One sentence with the package to install: no Python, one without venv, or an old one."""
    python = tmp_path / "python3"
    if script is not None:
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
    said = make_venv(ROOT, f"VENV={tmp_path / 'venv'}", f"PYTHON={python}")

    assert "Python 3.10 or newer with its venv module is needed" in said[0]
    assert len(said) == 2, "and the line of make itself"
    assert not (tmp_path / "venv").exists()


def test_environment_in_a_path_with_a_blank_is_refused(tmp_path: Path) -> None:
    """The kernel cannot start a command whose first line has a blank in the path of its Python."""
    folder = tmp_path / "my work"
    for name in ("Makefile", "setup.cfg", "pyproject.toml", "tests/requirements.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    said = make_venv(folder)

    assert "the path of an environment must not contain a blank" in said[0]
    assert not (folder / ".venv").exists()
