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
from tests.support.package import PACKAGE, ROOT, modules, source


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built offline from a copy of what it is built from."""
    directory = tmp_path_factory.mktemp("wheel")
    copy = directory / "source"
    listed = ["setup.cfg", "pyproject.toml", "README.md", "LICENSE"]
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
    """It has each module of the package and py.typed, but no test."""
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = {str(source(module).relative_to(ROOT)) for module in modules()}
    packages = {str(path.relative_to(ROOT)) for path in PACKAGE.rglob("__init__.py")}

    assert names == files | packages | {"check_pop3_plus/py.typed"}


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
