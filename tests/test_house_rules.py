"""The architecture, checked: who may import whom, and what a run loads."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.certificates import Pki
from tests.pop3_server import PoliteServer
from tests.token_endpoint import TokenEndpoint, granted

PACKAGE = Path(__file__).parent.parent / "check_pop3_plus"

LEVELS = {
    "text": 0,
    "outline": 0,
    "settings": 0,
    "stopped": 0,
    "failures": 1,
    "timing": 2,
    "files": 2,
    "values": 2,
    "hello": 2,
    "pop3": 2,
    "dns": 2,
    "ini": 3,
    "table": 3,
    "choices": 4,
    "report": 3,
    "tools": 3,
    "sasl": 3,
    "findings": 4,
    "strictness": 4,
    "tls": 4,
    "credentials": 4,
    "scram": 4,
    "certificate": 5,
    "transport": 5,
    "mechanisms": 5,
    "https": 6,
    "login": 6,
    "oauth": 7,
    "options": 7,
    "conversation": 7,
    "means": 8,
    "session": 9,
    "asides": 9,
    "assertions": 10,
    "probe": 11,
    "diagnose": 11,
    "resource": 12,
    "judge": 12,
    "certificate_contexts": 13,
    "contexts": 14,
    "certificate_words": 14,
    "summary": 15,
    "details": 15,
    "looks": 15,
    "causes": 15,
    "diagnosis_words": 15,
    "check": 16,
    "output": 16,
    "sweep": 17,
    "sweep_words": 18,
    "icinga": 18,
    "nagios": 18,
    "submit": 19,
    "sweep_cli": 20,
    "cli": 21,
    "start": 22,
    "__main__": 23,
}
"""A module imports only from lower levels."""

JUDGING = (
    "judge",
    "certificate_contexts",
    "contexts",
    "certificate_words",
    "summary",
    "details",
    "looks",
    "causes",
    "diagnosis_words",
)
OBSERVING = (
    "tls",
    "transport",
    "conversation",
    "means",
    "session",
    "asides",
    "hello",
    "assertions",
    "probe",
    "dns",
    "tools",
    "diagnose",
    "resource",
    "credentials",
    "outline",
    "strictness",
    "https",
    "oauth",
    "certificate",
    "sasl",
    "scram",
    "mechanisms",
    "login",
)


def tree(module: str) -> ast.Module:
    return ast.parse((PACKAGE / f"{module}.py").read_text())


def own_imports(module: str) -> set[str]:
    """Return the modules of the package that a module imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "check_pop3_plus":
                found |= {alias.name for alias in node.names}
            elif node.module.startswith("check_pop3_plus."):
                found.add(node.module.partition(".")[2])
    return found & set(LEVELS)


def foreign_imports(module: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def calls(module: str) -> set[str]:
    return {
        node.func.attr
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }


def catches_everything(module: str) -> bool:
    """Return whether it catches what it does not know, and does not raise it again there."""
    return any(
        isinstance(node, ast.ExceptHandler)
        and (
            node.type is None
            or (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException"))
        )
        and not isinstance(node.body[-1], ast.Raise)
        for node in ast.walk(tree(module))
    )


def test_every_module_has_a_level() -> None:
    """A new room is given its place on purpose."""
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}

    assert modules == set(LEVELS)


@pytest.mark.parametrize("module", LEVELS)
def test_imports_go_downwards(module: str) -> None:
    """A module imports only from lower levels."""
    upwards = {name for name in own_imports(module) if LEVELS[name] >= LEVELS[module]}

    assert not upwards


@pytest.mark.parametrize("module", JUDGING)
def test_facts_and_judgement_share_no_wall(module: str) -> None:
    """Who judges or words knows nothing of how it was observed."""
    assert not own_imports(module) & set(OBSERVING)


@pytest.mark.threat("T28")
@pytest.mark.parametrize(
    ("library", "rooms"),
    [
        ("cryptography", {"certificate"}),
        ("ssl", {"tls", "transport", "conversation", "means", "session", "asides"}),
        ("socket", {"transport", "values"}),
        ("subprocess", {"credentials", "tools"}),
        ("http", {"https"}),
        ("argparse", {"table", "choices", "options"}),
        (
            "nagiosplugin",
            {"resource", "judge", "certificate_contexts", "contexts", "summary", "check"},
        ),
        ("hmac", {"scram", "mechanisms"}),
    ],
)
def test_libraries_stay_in_their_rooms(library: str, rooms: set[str]) -> None:
    """Each library has few rooms, so that what depends on it is easy to find."""
    users = {module for module in LEVELS if library in foreign_imports(module)}

    assert users <= rooms


def test_broad_guards_have_their_homes() -> None:
    """All is caught only where a stranger's bug may not stop the run, or to be carried along."""
    strangers = {"certificate", "diagnose", "sweep", "start"}
    to_another_thread = {"timing", "probe"}

    homes = {module for module in LEVELS if catches_everything(module)}
    assert homes == strangers | to_another_thread


def test_only_transport_arms_time_limits() -> None:
    """Nobody else calls settimeout, so that no call can forget the deadline."""
    assert {module for module in LEVELS if "settimeout" in calls(module)} == {"transport"}


def test_few_rooms_reveal_a_secret() -> None:
    """`login`, `oauth`, `icinga` send it; `means` and the latter two make the cleaner of it."""
    revealing = {module for module in LEVELS if "reveal" in calls(module)}

    assert revealing == {"login", "oauth", "means", "icinga"}


@pytest.mark.threat("T19")
def test_no_command_changes_the_mailbox() -> None:
    """DELE, RETR and TOP cannot be sent: they are not in the allow-list."""
    from check_pop3_plus import pop3

    for verb in (b"DELE", b"RETR", b"TOP", b"RSET", b"XTND"):
        with pytest.raises(ValueError, match="not a command"):
            pop3.command(verb)


def loaded_modules(*arguments: str) -> set[str]:
    """Return the modules that one run has loaded when it ends."""
    script = (
        "import json, os, sys, time\n"
        "from check_pop3_plus import start\n"
        "null = os.open(os.devnull, os.O_WRONLY); out = os.dup(1); os.dup2(null, 1)\n"
        "start.main(sys.argv[1:], time.monotonic())\n"
        "os.write(out, json.dumps(sorted(sys.modules)).encode())\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", script, *arguments], capture_output=True, check=True
    )
    return set(json.loads(done.stdout))


NEVER = {"asyncio", "importlib.metadata", "dataclasses", "poplib", "http", "inspect"}


@pytest.mark.cost
def test_a_plain_check_stays_lean() -> None:
    """A plain check pays neither for TLS nor for certificates."""
    loaded = loaded_modules("-H", "127.0.0.1", "-p", "1")

    unwanted = {"ssl", "cryptography", "hashlib", "subprocess", "email", "encodings.idna"}
    assert loaded & (NEVER | unwanted) == set()


@pytest.mark.cost
def test_a_healthy_server_does_not_pay_for_a_diagnosis() -> None:
    """Nothing of it is even loaded; after a failure it is."""
    ours = {
        f"check_pop3_plus.{room}"
        for room in ("diagnose", "findings", "causes", "diagnosis_words", "tools", "dns")
    }
    with PoliteServer({}) as server:
        healthy = loaded_modules("-H", "127.0.0.1", "-p", str(server.port), "--diagnose")
    failed = loaded_modules("-H", "127.0.0.1", "-p", "1", "--diagnose=tcp")

    assert not healthy & (ours | {"subprocess", "ssl"})
    assert ours <= failed


@pytest.mark.cost
def test_a_tls_check_loads_no_more_than_it_needs() -> None:
    """TLS needs ssl and cryptography, and nothing else that is heavy."""
    loaded = loaded_modules("-H", "127.0.0.1", "-p", "1", "-S")

    assert {"ssl", "cryptography"} <= loaded
    assert loaded & (NEVER | {"subprocess"}) == set()


@pytest.mark.cost
def test_a_check_that_works_loads_little(pki: Pki) -> None:
    """Nor does one that goes through to the end: no way to log in, no dates without TLS."""
    with PoliteServer({}) as plain, PoliteServer({}, tls=pki.server("good")) as tls:
        loaded = loaded_modules("-H", "127.0.0.1", "-p", str(plain.port))
        with_tls = loaded_modules(
            *("-H", "127.0.0.1", "-p", str(tls.port), "-S", "-D", "1"),
            *("--ca-file", str(pki.ca_file)),
        )

    ways = {f"check_pop3_plus.{name}" for name in ("login", "sasl", "scram", "mechanisms")}
    of_tls = {f"check_pop3_plus.{name}" for name in ("certificate", "outline", "strictness")}
    sweeps = {f"check_pop3_plus.{name}" for name in ("sweep", "submit", "icinga", "nagios")}
    assert not loaded & (NEVER | ways | sweeps | of_tls)
    assert not loaded & {"ssl", "datetime", "cryptography", "base64"}
    assert not with_tls & (NEVER | ways | sweeps | {"encodings.idna", "subprocess"})


@pytest.mark.cost
def test_a_sweep_pays_for_http_only_where_icinga_is_told(tmp_path: Path) -> None:
    """Nor for TLS where all is plain."""
    file = tmp_path / "sweep.ini"
    file.write_text("[127.0.0.1!pop3]\nport = 1\n")
    loaded = loaded_modules("--sweep", str(file), "--submit", "jsonl:-")

    assert "check_pop3_plus.sweep" in loaded
    assert not loaded & (NEVER | {"ssl", "cryptography", "check_pop3_plus.icinga", "subprocess"})


@pytest.mark.cost
def test_a_login_pays_for_http_only_where_a_token_is_fetched(pki: Pki, tmp_path: Path) -> None:
    """A password from a file needs no HTTP, and a token no more than the reading of a reply."""
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text("x")
    login = ("-H", "127.0.0.1", "-p", "1", "-S", "-U", "monitor")
    with_password = loaded_modules(*login, "--password-file", str(secret))
    with TokenEndpoint(granted("x"), tls=pki.server("good")) as endpoint:
        with_token = loaded_modules(
            *(*login, "--auth", "xoauth2", "--oauth-token-url", endpoint.url),
            *("--oauth-client-id", "x", "--oauth-client-secret-file", str(secret)),
            *("--oauth-ca-file", str(pki.ca_file)),
        )

    assert with_password & (NEVER | {"subprocess"}) == set()
    assert with_token & (NEVER | {"subprocess", "urllib.request"}) == {"http"}


@pytest.mark.cost
def test_help_loads_no_network_code() -> None:
    """`--help` is answered without TLS and certificates."""
    assert not loaded_modules("--help") & (NEVER | {"ssl", "cryptography"})
