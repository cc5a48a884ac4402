"""The wheel and the source distribution; an editable install would hide what they miss."""

import shutil
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


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the source distribution, and the wheel that was built from it, offline."""
    directory = tmp_path_factory.mktemp("built")
    subprocess.run([ROOT / "packaging/build-sdist", sys.executable, directory], check=True)
    return directory


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return next(built.glob("*.whl"))


@pytest.fixture(scope="module")
def unpacked(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, unpacked."""
    directory = tmp_path_factory.mktemp("unpacked")
    archive = next(built.glob("*.tar.gz"))
    subprocess.run(["tar", "-C", directory, "-xzf", archive], check=True)
    return next(directory.iterdir())


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
    """It has each module, py.typed, the command and, below share/, what an administrator copies."""
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = {str(source(module).relative_to(ROOT)) for module in modules()}
    packages = {str(path.relative_to(ROOT)) for path in PACKAGE.rglob("__init__.py")}
    data = f"check_pop3_plus-{__version__}.data"
    templates = (path for path in (ROOT / "icinga-templates").rglob("*") if path.is_file())
    shared = {
        "doc/check_pop3_plus/CHANGELOG.md",
        "man/man1/check_pop3_plus.1",
        "bash-completion/completions/check_pop3_plus.bash",
        *(f"check_pop3_plus/{path.relative_to(ROOT / 'icinga-templates')}" for path in templates),
    }
    more = {f"{data}/scripts/check_pop3_plus", *(f"{data}/data/share/{name}" for name in shared)}

    assert names == files | packages | {"check_pop3_plus/py.typed"} | more


def test_source_distribution_has_every_file_of_the_repository(unpacked: Path) -> None:
    """Templates, documents, tests with their helpers, and everything that a package is built of."""
    git = ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", "-z"]
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("this is no checkout, but a source distribution, or git is not installed")
    listed = set(subprocess.run(git, capture_output=True, check=True).stdout.decode().split("\0"))
    has = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}

    metadata = {name for name in has if name.startswith("check_pop3_plus.egg-info/")}
    assert has - metadata - {"PKG-INFO"} == listed - {""}


def test_source_distribution_runs_its_own_tests(unpacked: Path) -> None:
    """Those of a folder pass, with the code and the helpers of the distribution."""
    pytest_ = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [*pytest_, "tests/unit/model"],
        cwd=unpacked,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr


def test_distributions_are_built_the_same_again(built: Path, tmp_path: Path) -> None:
    """Whoever doubts a release can build it and compare."""
    subprocess.run([ROOT / "packaging/build-sdist", sys.executable, tmp_path], check=True)

    first, second = ({p.name: p.read_bytes() for p in d.iterdir()} for d in (built, tmp_path))
    assert first == second


def test_metadata_pass_the_strict_check_of_twine(built: Path) -> None:
    """They have author and changelog, and a package index can show them."""
    pytest.importorskip("twine")
    files = sorted(str(path) for path in built.iterdir())
    done = subprocess.run(
        [sys.executable, "-m", "twine", "--no-color", "check", "--strict", *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.count("PASSED") == len(files) == 2, done.stdout + done.stderr
    with zipfile.ZipFile(next(built.glob("*.whl"))) as archive:
        text = archive.read(f"check_pop3_plus-{__version__}.dist-info/METADATA").decode()
    assert "\nAuthor: the check_pop3_plus authors\n" in text
    assert "\n# Changelog\n" in text
    assert "Home-page" not in text


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

    # Python 3.11.2 of Debian 12 calls zeros a ValueError.
    done = honest(Run(code, out.replace("ValueError", "SyntaxError"), err, 0))
    assert kinds(done) == ["config"]
    assert str(installed.parent.parent)[:40] in done.line
