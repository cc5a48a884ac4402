"""The architecture, checked: who may import whom, and what a run loads."""

import ast
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.pki.certificates import Pki
from tests.servers.scripted_server import PoliteServer
from tests.servers.token_endpoint import TokenEndpoint, granted
from tests.support.package import folder, modules, tree

LEVELS = (
    ("model",),
    ("support",),
    ("options", "pop3", "net", "certificate", "messages"),
    ("probe",),
    ("diagnosis",),
    ("check",),
    ("output",),
    ("sweep",),
    ("cli",),
    ("start",),
    ("__main__",),
)
"""Folders, and modules at the top: a folder imports from lower levels and from itself."""

LEVEL = {name: number for number, names in enumerate(LEVELS) for name in names}

MODULES_LIMIT = 9
"""Modules of one folder."""


def own_imports(module: str) -> set[str]:
    """Return the modules of the package that a module imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ImportFrom) and node.module:
            top, _, inner = node.module.partition(".")
            if top == "check_pop3_plus":
                prefix = f"{inner}." if inner else ""
                found |= {inner, *(prefix + alias.name for alias in node.names)}
    return found & set(modules())


def foreign_imports(module: str, at_run_time: bool = False) -> set[str]:
    """Return the libraries that a module imports; `at_run_time`: not for types alone."""
    skipped: set[ast.AST] = set()
    if at_run_time:
        for node in ast.walk(tree(module)):
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                skipped |= set(ast.walk(node))
    found: set[str] = set()
    for node in ast.walk(tree(module)):
        if node in skipped:
            continue
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


def test_every_folder_has_a_level() -> None:
    """A new folder, or a new module at the top, is given its level on purpose."""
    assert {folder(module) for module in modules()} <= set(LEVEL)


@pytest.mark.parametrize("module", modules())
def test_imports_go_down(module: str) -> None:
    """A module imports from its own folder and from lower levels; folders of one level do not
    know each other."""
    upwards = {
        name
        for name in own_imports(module)
        if folder(name) != folder(module) and LEVEL[folder(name)] >= LEVEL[folder(module)]
    }

    assert not upwards


@pytest.mark.parametrize("name", sorted({folder(module) for module in modules()}))
def test_no_import_cycle_within_a_folder(name: str) -> None:
    """Within a folder the imports have an order, too."""
    inside = {module for module in modules() if folder(module) == name}
    remaining = {module: own_imports(module) & inside - {module} for module in inside}
    while remaining:
        free = {module for module, needed in remaining.items() if not needed & set(remaining)}
        assert free, f"cycle among {sorted(remaining)}"
        remaining = {module: needed for module, needed in remaining.items() if module not in free}


def test_folders_stay_small() -> None:
    """A listing is read at a glance."""
    sizes = Counter(folder(module) for module in modules() if "." in module)

    assert {name: size for name, size in sizes.items() if size > MODULES_LIMIT} == {}


@pytest.mark.parametrize("module", ["check.summary", "diagnosis.likely_cause"])
def test_messages_are_made_from_facts_alone(module: str) -> None:
    """What makes sentences knows nothing of the network, the protocol, or the states."""
    below = {folder(name) for name in own_imports(module)}

    assert not below & {"net", "pop3", "probe"}
    assert "check.default_states" not in own_imports(module)


def test_messages_folder_is_made_from_facts_alone() -> None:
    """The same for all modules in `messages`."""
    below = {
        folder(name)
        for module in modules()
        if folder(module) == "messages"
        for name in own_imports(module)
    }

    assert below <= {"messages", "support", "model"}


@pytest.mark.threat("T28")
@pytest.mark.parametrize(
    ("library", "homes"),
    [
        ("cryptography", {"certificate"}),
        ("ssl", {"net"}),
        ("socket", {"net", "options"}),
        ("subprocess", {"support"}),
        ("http", {"net"}),
        ("nagiosplugin", {"check"}),
        ("hmac", {"pop3"}),
    ],
)
def test_each_library_has_one_home(library: str, homes: set[str]) -> None:
    """What depends on a library is easy to find."""
    users = {
        folder(module)
        for module in modules()
        if library in foreign_imports(module, at_run_time=True)
    }

    assert users <= homes


def test_broad_guards_have_their_homes() -> None:
    """All is caught only where a foreign bug may not stop the run, or to be passed to a caller."""
    foreign = {"certificate.reader", "diagnosis.run_steps", "sweep.run", "start"}
    to_another_thread = {"support.deadline", "probe.addresses"}

    assert {module for module in modules() if catches_everything(module)} == (
        foreign | to_another_thread
    )


def test_only_transport_sets_time_limits() -> None:
    """Nobody else calls settimeout, so that no call can forget the deadline."""
    assert {module for module in modules() if "settimeout" in calls(module)} == {"net.transport"}


def test_few_modules_reveal_a_secret() -> None:
    """Those that send it, and those that make the masking of it."""
    revealing = {module for module in modules() if "reveal" in calls(module)}

    assert revealing == {
        "pop3.login",
        "probe.oauth_token",
        "probe.prerequisites",
        "sweep.icinga_target",
        "sweep.run",
    }


@pytest.mark.xfail(strict=False, reason="other folders still construct it")
def test_printable_is_constructed_in_its_home_only() -> None:
    """Everything else is sanitised by `sanitise` and `printable`."""
    constructing = {
        module
        for module in modules()
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "Printable"
    }

    assert constructing <= {"model.sanitised_text", "model.failures"}


@pytest.mark.threat("T19")
def test_no_command_changes_the_mailbox() -> None:
    """DELE, RETR and TOP cannot be sent: they are not in the allow-list."""
    from check_pop3_plus.pop3 import grammar

    for verb in (b"DELE", b"RETR", b"TOP", b"RSET", b"XTND"):
        with pytest.raises(ValueError, match="not a command"):
            grammar.command(verb)


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
        f"check_pop3_plus.{module}"
        for module in (
            "diagnosis.run_steps",
            "diagnosis.findings",
            "diagnosis.likely_cause",
            "diagnosis.section",
            "diagnosis.tools",
            "net.dns_query",
        )
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

    methods = {
        f"check_pop3_plus.pop3.{name}"
        for name in ("login", "sasl_exchange", "scram", "sasl_mechanisms")
    }
    of_tls = {f"check_pop3_plus.certificate.{name}" for name in ("reader", "der", "rfc5280_rules")}
    sweeps = {
        f"check_pop3_plus.sweep.{name}"
        for name in ("run", "targets", "icinga_target", "nagios_target")
    }
    assert not loaded & (NEVER | methods | sweeps | of_tls)
    assert not loaded & {"ssl", "datetime", "cryptography", "base64"}
    assert not with_tls & (NEVER | methods | sweeps | {"encodings.idna", "subprocess"})


@pytest.mark.cost
def test_a_sweep_pays_for_http_only_where_icinga_is_told(tmp_path: Path) -> None:
    """Nor for TLS where all is plain."""
    file = tmp_path / "sweep.ini"
    file.write_text("[127.0.0.1!pop3]\nport = 1\n")
    loaded = loaded_modules("--sweep", str(file), "--submit", "jsonl:-")

    assert "check_pop3_plus.sweep.run" in loaded
    assert not loaded & (
        NEVER | {"ssl", "cryptography", "check_pop3_plus.sweep.icinga_target", "subprocess"}
    )


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
