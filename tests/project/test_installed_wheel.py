"""The wheel contains all modules; an editable install would hide a missing one."""

import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from check_pop3_plus import __version__
from tests.pki.certificates import Pki
from tests.servers.scripted_server import PoliteServer
from tests.support.command import Run
from tests.support.faults import honest, kinds
from tests.support.package import PACKAGE, ROOT, modules, source

SCRIPT = "bin/check_pop3_plus"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built offline from a copy of what it is built from."""
    directory = tmp_path_factory.mktemp("wheel")
    copy = directory / "source"
    listed = ["setup.cfg", "pyproject.toml", "README.md", "LICENSE", SCRIPT]
    for file in [*(ROOT / name for name in listed), *PACKAGE.rglob("*.py"), PACKAGE / "py.typed"]:
        target = copy / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(directory)]
    subprocess.run([*pip, *offline, str(copy)], check=True)
    return next(directory.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command in an environment with the wheel and the installed dependencies."""
    directory = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(directory)], check=True)
    packages = next(directory.glob("lib/python*/site-packages"))
    # .pth files in directories added by .pth files are ignored, so the editable one is not found.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", str(directory / "bin/python"), "install"]
    offline = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-index"]
    subprocess.run([*pip, *offline, "--ignore-installed", str(wheel)], check=True)
    return directory / "bin/check_pop3_plus"


def run(command: Path, arguments: Sequence[str], directory: Path) -> tuple[int, str, str]:
    done = subprocess.run(
        [str(command), *arguments], cwd=directory, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_wheel_has_every_module_and_nothing_else(wheel: Path) -> None:
    """It has each module of the package, py.typed and the command, but no test."""
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = {str(source(module).relative_to(ROOT)) for module in modules()}
    packages = {str(path.relative_to(ROOT)) for path in PACKAGE.rglob("__init__.py")}

    script = f"check_pop3_plus-{__version__}.data/scripts/check_pop3_plus"
    assert names == files | packages | {"check_pop3_plus/py.typed", script}


def test_installed_wheel_does_not_import_the_checkout(installed: Path, tmp_path: Path) -> None:
    """Otherwise the other tests here would prove nothing."""
    script = "import check_pop3_plus; print(check_pop3_plus.__file__)"
    code, out, err = run(installed.with_name("python"), ["-I", "-c", script], tmp_path)

    assert (code, err) == (0, "")
    assert Path(out.strip()).is_relative_to(installed.parent.parent)


def test_installed_wheel_prints_help_and_version(installed: Path, tmp_path: Path) -> None:
    """From another working directory."""
    code, out, err = run(installed, ["--help"], tmp_path)

    assert (code, err) == (3, "")
    assert out.startswith("usage: check_pop3_plus ")
    assert __version__ in run(installed, ["--version"], tmp_path)[1]


def test_installed_wheel_checks_a_plain_server(installed: Path, tmp_path: Path) -> None:
    """From another working directory."""
    with PoliteServer({}) as server:
        arguments = ["-H", "127.0.0.1", "-p", str(server.port)]
        code, out, err = run(installed, arguments, tmp_path)

    assert (code, err) == (0, ""), out
    assert out.startswith("POP3 OK - ")


def test_installed_wheel_checks_a_tls_server_with_a_login(
    installed: Path, tmp_path: Path, pki: Pki
) -> None:
    """This loads the packages for TLS, certificates, login and diagnosis."""
    password = tmp_path / "password"
    password.touch(mode=0o600)
    password.write_text("s3cret\n")
    login = ["-U", "monitor", "--password-file", str(password), "-D", "1", "-v"]
    with PoliteServer({"monitor": "s3cret"}, tls=pki.server("good")) as server:
        target = ["-H", "localhost", "--connect-to", server.address, "-p", str(server.port), "-S"]
        arguments = [*target, "--ca-file", str(pki.ca_file), *login]
        code, out, err = run(installed, arguments, tmp_path)

    assert (code, err) == (0, ""), out
    assert "cert_days=" in out


@pytest.mark.parametrize(
    ("module", "content"),
    [
        pytest.param("", None, marks=pytest.mark.fault(79, case="package missing")),
        pytest.param("start", None, marks=pytest.mark.fault(79, case="module missing")),
        pytest.param("start", b"import nonexistent_\n", marks=pytest.mark.fault(79, case="import")),
        pytest.param("start", b"def run(\n", marks=pytest.mark.fault(79, case="truncated")),
        pytest.param("start", b"\0" * 4096, marks=pytest.mark.fault(79, case="zeros")),
        pytest.param("model/stopped", None, marks=pytest.mark.fault(79, case="part missing")),
    ],
)
@pytest.mark.threat("T24")
def test_installed_command_broken_package_is_unknown(
    installed: Path, tmp_path: Path, module: str, content: bytes | None
) -> None:
    """One line and exit code 3 in place of a traceback and exit code 1."""
    package = next(installed.parent.parent.glob("lib/python*/site-packages/check_pop3_plus"))
    path = package / f"{module}.py" if module else package
    moved = path.rename(tmp_path / "moved")
    try:
        if content is not None:
            path.write_bytes(content)
        code, out, err = run(installed, ["-H", "127.0.0.1"], tmp_path)
    finally:
        if content is not None:
            path.unlink()
        moved.rename(path)

    done = honest(Run(code, out, err, 0))
    assert kinds(done) == ["config"]
    assert str(installed.parent.parent)[:40] in done.line
