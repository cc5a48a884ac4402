"""House rules: import levels, sizes, names, and what a run loads."""

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.pki.certificates import Pki
from tests.servers.scripted_server import PoliteServer
from tests.servers.token_endpoint import TokenEndpoint, granted
from tests.support.package import folder, modules, source, tree

LEVELS = (
    ("model",),
    ("support", "sasl"),
    ("options", "pop3", "net", "certificate", "messages"),
    ("probe",),
    ("delivery",),
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

FUNCTION_LINES_LIMIT = 50

TESTS = Path(__file__).parent.parent

TEST_FILES = {file.stem for file in TESTS.rglob("test_*.py")}


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
    """Return the libraries that a module imports; `at_run_time` omits those for types only."""
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
    """Return whether it catches all exceptions without raising them again."""
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
    """A new folder, or a new module at the top, needs a level."""
    assert {folder(module) for module in modules()} <= set(LEVEL)


def test_imports_go_down() -> None:
    """A module imports only from its own folder and from lower levels."""
    upwards = [
        f"{module} imports {name}"
        for module in modules()
        for name in own_imports(module)
        if folder(name) != folder(module) and LEVEL[folder(name)] >= LEVEL[folder(module)]
    ]

    assert upwards == []


def test_no_import_cycle_within_a_folder() -> None:
    """Only there can one be, because all other imports go down."""
    remaining = {
        module: {name for name in own_imports(module) - {module} if folder(name) == folder(module)}
        for module in modules()
    }
    while remaining:
        free = {module for module, needed in remaining.items() if not needed & set(remaining)}
        assert free, f"cycle among {sorted(remaining)}"
        remaining = {module: needed for module, needed in remaining.items() if module not in free}


def test_folders_hold_at_most_nine_modules() -> None:
    """The listing of a folder stays readable."""
    sizes = Counter(module.rpartition(".")[0] for module in modules() if "." in module)

    assert {name: size for name, size in sizes.items() if size > MODULES_LIMIT} == {}


def test_functions_over_fifty_lines_state_a_reason() -> None:
    """A comment directly above the function, or in it, says why: `# Long because ...`."""
    unexplained = [
        f"{module}: {function.name}"
        for module in modules()
        for function in ast.walk(tree(module))
        if isinstance(function, ast.FunctionDef)
        and (function.end_lineno or 0) - function.lineno >= FUNCTION_LINES_LIMIT
        and not any(
            line.lstrip().startswith("# Long")
            for line in source(module)
            .read_text()
            .splitlines()[function.lineno - 3 : function.end_lineno]
        )
    ]

    assert unexplained == []


def public_functions(module: str) -> set[str]:
    """Return the public functions at the top of a module."""
    return {
        node.name
        for node in tree(module).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }


def test_module_has_no_function_of_its_own_name() -> None:
    """A call would read `resolve.resolve`."""
    assert not [each for each in modules() if each.rpartition(".")[2] in public_functions(each)]


INTERCHANGEABLE = ("_target", "_text")
"""Endings of submit targets and output formats, which share their functions."""


def test_public_function_names_are_unique_in_a_folder() -> None:
    """A function name of a folder has one home."""
    homes: dict[tuple[str, str], list[str]] = {}
    for module in (each for each in modules() if not each.endswith(INTERCHANGEABLE)):
        for name in public_functions(module) if "." in module else ():
            homes.setdefault((folder(module), name), []).append(module)

    assert {name: found for name, found in homes.items() if len(found) > 1} == {}


def test_records_have_one_form() -> None:
    """`model.record.Record` alone: a NamedTuple costs five times as much at import."""
    other = [
        f"{module}: {node.id}"
        for module in modules()
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Name) and node.id in ("NamedTuple", "namedtuple", "dataclass")
    ]

    assert other == []


def is_number(node: ast.AST) -> bool:
    """Return whether a node is a literal number other than 0, which means: do not block."""
    return isinstance(node, ast.Constant) and type(node.value) in (int, float) and node.value != 0


def test_timeouts_are_no_literals() -> None:
    """A limit in a call comes from the deadline, or is a constant with a reason."""
    nodes = [node for module in modules() for node in ast.walk(tree(module))]
    for call in (node for node in nodes if isinstance(node, ast.Call)):
        limits = [word.value for word in call.keywords if word.arg == "timeout"]
        if isinstance(call.func, ast.Attribute) and call.func.attr in ("settimeout", "join"):
            limits += call.args
        assert not any(map(is_number, limits)), ast.unparse(call)


def test_output_texts_hold_no_quoting_characters() -> None:
    """A notification shell may read our own words too; help and patterns are not among them."""
    for module in set(modules()) - {"options.table", "options.help_text"}:
        nodes = list(ast.walk(tree(module)))
        docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        for node in nodes:
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                of_pattern = "\\b" in node.value
                apostrophe = re.search(r"\w'\w|s' ", node.value)
                assert id(node) in docstrings or of_pattern or not apostrophe, node.value


def test_test_files_import_no_test_file() -> None:
    """What two of them need is in a helper."""
    for file in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                imported = [node.module or "", *(alias.name for alias in node.names)]
            elif isinstance(node, ast.Import):
                imported = [alias.name for alias in node.names]
            else:
                continue
            names = {part for name in imported for part in name.split(".")}
            assert not names & TEST_FILES, f"{file}: {ast.unparse(node)}"


@pytest.mark.parametrize("module", ["check.summary", "diagnosis.likely_cause"])
def test_messages_are_made_from_facts_alone(module: str) -> None:
    """Message producers do not import the network, the protocol, or the default states."""
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
        ("hmac", {"sasl", "delivery"}),
        ("smtplib", {"net"}),
        ("argparse", set()),
    ],
)
def test_each_library_has_one_home(library: str, homes: set[str]) -> None:
    """Only one folder depends on a library."""
    users = {
        folder(module)
        for module in modules()
        if library in foreign_imports(module, at_run_time=True)
    }

    assert users <= homes


def test_broad_except_clauses_exist_only_in_listed_modules() -> None:
    """They exist only where a bug must not stop the run, or is passed to a caller."""
    foreign = {
        *("certificate.reader", "diagnosis.run_steps"),
        *("sweep.run", "sweep.targets.submission", "start"),
    }
    to_another_thread = {"support.deadline", "probe.addresses"}

    assert {module for module in modules() if catches_everything(module)} == (
        foreign | to_another_thread
    )


def test_only_transport_sets_time_limits() -> None:
    """No other module calls settimeout, so that no call can forget the deadline."""
    assert {module for module in modules() if "settimeout" in calls(module)} == {"net.transport"}


def test_few_modules_reveal_a_secret() -> None:
    """Modules that send a secret, or prepare its masking."""
    revealing = {module for module in modules() if "reveal" in calls(module)}

    assert revealing == {
        "delivery.probe_message",
        "delivery.round_trip",
        "delivery.submission",
        "pop3.login",
        "probe.oauth_token",
        "probe.prerequisites",
        "sweep.known_secrets",
        "sweep.targets.icinga2_target",
    }


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
def test_commands_that_change_the_mailbox_are_refused() -> None:
    """DELE and RETR are not in the allow-list."""
    from check_pop3_plus.pop3 import grammar

    for verb in (b"DELE", b"RETR", b"RSET", b"XTND"):
        with pytest.raises(ValueError, match="not a command"):
            grammar.command(verb)


def loaded_modules(*arguments: str) -> set[str]:
    """Return the modules that one run has loaded when it ends."""
    script = (
        "import os, sys, time\n"
        "from check_pop3_plus import start\n"
        "null = os.open(os.devnull, os.O_WRONLY); out = os.dup(1); os.dup2(null, 1)\n"
        "start.main(sys.argv[1:], time.monotonic())\n"
        "os.write(out, ' '.join(sys.modules).encode())\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", script, *arguments], capture_output=True, check=True
    )
    return set(done.stdout.decode().split())


NEVER = {
    "argparse",
    "asyncio",
    "importlib.metadata",
    "dataclasses",
    "poplib",
    "http",
    "inspect",
    "logging",
    "smtplib",
    "tempfile",
    "traceback",
}


@pytest.mark.cost
def test_plain_check_loads_no_tls_and_no_certificate_modules() -> None:
    """A plain check does not pay for TLS or certificates."""
    loaded = loaded_modules("-H", "127.0.0.1", "-p", "1")

    unwanted = {"ssl", "cryptography", "hashlib", "subprocess", "email", "encodings.idna", "typing"}
    unwanted |= {"json", "shutil", "random"}
    assert loaded & (NEVER | unwanted) == set()


@pytest.mark.cost
def test_diagnosis_is_loaded_only_after_a_failure() -> None:
    """A healthy server does not pay for --diagnose."""
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
def test_tls_check_loads_no_other_heavy_module() -> None:
    """TLS needs ssl, and no other heavy library; an issuer's name needs cryptography."""
    loaded = loaded_modules("-H", "127.0.0.1", "-p", "1", "-S")
    with_issuer = loaded_modules("-H", "127.0.0.1", "-p", "1", "-S", "--issuer", "x")

    assert "ssl" in loaded
    assert "cryptography.x509" in with_issuer
    assert loaded & (NEVER | {"cryptography", "subprocess"}) == set()


@pytest.mark.cost
def test_successful_check_loads_no_login_sweep_or_date_modules(pki: Pki) -> None:
    """A check without a login does not load login methods, nor dates without TLS."""
    with PoliteServer({}) as plain, PoliteServer({}, tls=pki.server("good")) as tls:
        loaded = loaded_modules("-H", "127.0.0.1", "-p", str(plain.port))
        with_tls = loaded_modules(
            *("-H", "127.0.0.1", "-p", str(tls.port), "-S", "-D", "1"),
            *("--ca-file", str(pki.ca_file), "--min-key-bits", "2048", "--max-validity", "398"),
        )

    methods = {
        f"check_pop3_plus.{name}"
        for name in ("pop3.login", "pop3.auth", "sasl", "sasl.scram", "sasl.mechanisms")
    }
    of_tls = {f"check_pop3_plus.certificate.{name}" for name in ("reader", "der", "rfc5280_rules")}
    no_plain = ("net.tls", "net.trust_store", "probe.password_source", "support.programs")
    sweeps = {
        f"check_pop3_plus.sweep.{name}"
        for name in ("run", "targets.submission", "targets.icinga2_target", "targets.nagios_target")
    }
    assert not loaded & (NEVER | methods | sweeps | of_tls)
    assert not loaded & {f"check_pop3_plus.{name}" for name in no_plain}
    assert not loaded & {"ssl", "datetime", "cryptography", "base64"}
    assert not with_tls & (
        NEVER | methods | sweeps | {"cryptography", "hashlib", "encodings.idna", "subprocess"}
    )


@pytest.mark.cost
def test_sweep_without_icinga_loads_no_http(tmp_path: Path) -> None:
    """Nor does a sweep of plain services load TLS."""
    file = tmp_path / "sweep.ini"
    file.write_text("[127.0.0.1!pop3]\nport = 1\n")
    loaded = loaded_modules("--sweep", str(file), "--submit", "jsonl:-")

    assert "check_pop3_plus.sweep.run" in loaded
    assert not loaded & (
        NEVER
        | {"ssl", "cryptography", "check_pop3_plus.sweep.targets.icinga2_target", "subprocess"}
    )


@pytest.mark.cost
def test_login_without_token_loads_no_http(pki: Pki, tmp_path: Path) -> None:
    """A password from a file needs no HTTP, and a token only http.client."""
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
def test_help_loads_no_tls_and_no_certificate_modules() -> None:
    """`--help` prints without TLS and certificates."""
    assert not loaded_modules("--help") & (NEVER | {"ssl", "cryptography"})
