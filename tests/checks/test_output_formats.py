"""`--output`, and the metrics of a sweep: JSON by its schema, metrics that promtool accepts."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from check_pop3_plus.model.failures import Phase
from check_pop3_plus.options.table import FORMATS
from tests.pki.certificates import Pki
from tests.servers.scripted_server import PoliteServer, ScriptedServer, dead_port, say, silence
from tests.support.command import COMMAND, Run, run, run_broken_check
from tests.support.faults import CANARY, assert_no_canary

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "docs" / "schema-1.json").read_text())


def assert_described(value: object) -> None:
    """Assert that the schema holds, and that it describes each field."""
    jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker()).validate(
        value
    )
    assert isinstance(value, dict)
    name = "summary" if "summary" in value else "result"
    common = SCHEMA["$defs"]["common"]["properties"]
    assert set(value) <= set(SCHEMA["$defs"][name]["properties"]) | set(common)


def as_json(done: Run) -> dict[str, Any]:
    """Return the one object that a run printed."""
    assert done.err == ""
    [line] = done.out.splitlines()
    value: dict[str, Any] = json.loads(line)
    assert_described(value)
    assert value["exit_code"] == done.code
    return value


def series(text: str) -> dict[str, float]:
    """Return each series of an exposition with its value, and check it with promtool."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            assert name not in found, line
            found[name] = float(value)
    promtool = shutil.which("promtool")
    if promtool:
        done = subprocess.run(
            [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return found


def test_schema_is_valid() -> None:
    """The schema itself follows its draft."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    phases = SCHEMA["$defs"]["result"]["properties"]["phase"]["enum"]
    assert phases == [*(each.value for each in Phase if each is not Phase.FAILED), None]


# --- a single check --------------------------------------------------------------------------


def test_json_of_a_login_has_figures_certificate_and_address(pki: Pki, tmp_path: Path) -> None:
    """Figures are numbers with their limits, dates are UTC, and no secret is shown."""
    with PoliteServer({"monitor": CANARY}, tls=pki.server("good")) as server:
        value = as_json(
            run(
                *("-H", "localhost", "--connect-to", "127.0.0.1", "-p", str(server.port), "-S"),
                *("--ca-file", str(pki.ca_file), "-w", "5", "-c", "9", "-D", "30,7"),
                *("-U", "monitor", "--password-env", "CANARY", "--output", "json", "-vvv"),
                env={"CANARY": CANARY},
            )
        )

    assert_no_canary(json.dumps(value))
    assert (value["state"], value["kinds"], value["phase"]) == ("OK", [], None)
    figure = value["figures"]["time"]
    assert 0 < figure["value"] < 10
    assert {**figure, "value": 0} == {
        "value": 0,
        "unit": "s",
        "warning": "5",
        "critical": "9",
        "min": 0,
        "max": 10,
    }
    assert value["figures"]["mailbox_size"]["unit"] == "B"
    assert value["target"] == {"host": "localhost", "port": server.port, "service": "pop3s"}
    [address] = value["addresses"]
    assert (address["address"], address["kind"]) == ("127.0.0.1", None)
    ends = time.strptime(value["certificate"]["not_after"], "%Y-%m-%dT%H:%M:%SZ")
    assert value["figures"]["cert_days"]["warning"] == "30:"
    assert 364 < (time.mktime(ends) - time.time()) / 86400 < 367
    assert [each["state"] for each in value["attempts"]] == ["OK"]


def test_json_of_a_failure_has_kind_phase_and_each_attempt() -> None:
    """All attempts are listed, also those with the same result."""
    with dead_port() as port:
        value = as_json(run("-H", "127.0.0.1", "-p", str(port), "--rechecks", "1", "--output=json"))

    assert (value["kinds"], value["phase"]) == (["refused"], "connect")
    assert [each["state"] for each in value["attempts"]] == ["CRITICAL", "CRITICAL"]
    assert value["addresses"][0]["reason"] == "connection refused"
    assert value["output"].startswith("POP3 CRITICAL - connection refused, 2 of 2 attempts")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--output", "json", "-p", "x", "-H", "pop.example.org"],
        ["--bogus", "--output", "json"],
        ["--output", "json"],
        ["--output", "json", "--sweep", "missing"],
    ],
)
def test_usage_error_obeys_the_format_that_was_read(arguments: list[str]) -> None:
    """A program that asked for JSON need not parse anything else."""
    value = as_json(run(*arguments))

    assert (value["state"], value["kinds"]) == ("UNKNOWN", ["config"])
    assert value["output"].startswith("POP3 UNKNOWN - config: ")


def test_usage_error_before_the_format_is_plain() -> None:
    """An --output behind the error is not read."""
    assert run("--verify", "x", "--output", "json").out.startswith("POP3 UNKNOWN - config: ")


def test_sweep_with_a_format_is_a_usage_error() -> None:
    """A sweep has --submit."""
    done = run("--sweep", "missing", "--output", "plugin")

    assert done.out == (
        "POP3 UNKNOWN - config: --output and --sweep cannot be combined: use --submit jsonl:- or"
        " prometheus:FILE\n"
    )


def assert_plugin_text_of_a_bug(text: str) -> None:
    assert text.startswith("POP3 UNKNOWN - bug: internal error")
    assert "\nkind: bug\n" in text


def assert_json_of_a_bug(text: str) -> None:
    value = json.loads(text)
    assert_described(value)
    assert (value["kinds"], value["long_output"]) == (["bug"], "kind: bug\n")


def assert_metrics_of_a_bug(text: str) -> None:
    assert series(text)['pop3_failure_info{target="",service="",kind="bug"}'] == 1


READERS = {
    "plugin": assert_plugin_text_of_a_bug,
    "json": assert_json_of_a_bug,
    "prometheus": assert_metrics_of_a_bug,
}
"""What the reader of each format expects after an internal error."""


@pytest.mark.parametrize("name", FORMATS)
def test_internal_error_obeys_the_format(name: str) -> None:
    """The last safety net prints what the reader expects, too."""
    done = run_broken_check("-H", "x", "--output", name)

    assert done.returncode == 3
    assert "s3cret" not in done.stdout
    assert name in READERS, f"what does the reader of {name} expect?"
    READERS[name](done.stdout)


def test_metrics_of_a_login_are_gauges_with_labels_of_ours(pki: Pki) -> None:
    """No label holds text of a server; dates are seconds since the epoch."""
    with PoliteServer({"monitor": CANARY}, tls=pki.server("good")) as server:
        done = run(
            *("-H", "localhost", "--connect-to", "127.0.0.1", "-p", str(server.port), "-S"),
            *("--ca-file", str(pki.ca_file), "--output", "prometheus"),
            *("-U", "monitor", "--password-env", "CANARY"),
            env={"CANARY": CANARY},
        )

    assert (done.code, done.err) == (0, "")
    found = series(done.out)
    mark = f'target="localhost:{server.port}",service="pop3s"'
    assert found[f"pop3_probe_success{{{mark}}}"] == 1
    states = {name: value for name, value in found.items() if name.startswith("pop3_state{")}
    assert len(states) == 4
    assert [name for name, value in states.items() if value] == [f'pop3_state{{{mark},state="ok"}}']
    phases = re.findall(r'pop3_phase_duration_seconds\{.*phase="(\w+)"\}', done.out)
    assert phases == ["resolve", "connect", "tls", "greeting", "capa", "login", "stat"]
    days = (found[f"pop3_certificate_not_after_timestamp_seconds{{{mark}}}"] - time.time()) / 86400
    assert 364 < days < 367
    assert found[f"pop3_mailbox_messages{{{mark}}}"] == 3
    assert found[f"pop3_mailbox_size_bytes{{{mark}}}"] == 1234
    names = set(re.findall(r"^# TYPE (\w+) gauge$", done.out, re.M))
    assert names == set(re.findall(r"^# HELP (\w+) ", done.out, re.M))
    assert names == {name.partition("{")[0] for name in found}


# --- a sweep ---------------------------------------------------------------------------------


@pytest.fixture
def sweep(tmp_path: Path) -> Iterator[Path]:
    """A sweep of a good service, a dead one, an invalid section and a duplicate."""
    with PoliteServer({}) as server, dead_port() as dead:
        file = tmp_path / "sweep.ini"
        file.write_text(
            "[DEFAULT]\nhostname = 127.0.0.1\n"
            f"[good!pop3]\nport = {server.port}\n[dead!a?quoted name]\nport = {dead}\n"
            f"[broken!pop3]\nport = x\n[good!pop3]\nport = {dead}\n[no name]\n"
        )
        file.write_text(file.read_text().replace("a?quoted", 'a "quoted" \\'))
        yield file


def test_json_lines_of_a_sweep_follow_the_schema(sweep: Path) -> None:
    """Also those of invalid sections, and the summary."""
    done = run("--sweep", str(sweep), "--submit", "jsonl:-")

    values = [json.loads(line) for line in done.out.splitlines()]
    assert len(values) == 6
    for value in values:
        assert_described(value)
    kinds = {value["host"]: value["kinds"] for value in values[:-1]}
    assert kinds["dead"] == ["refused"]
    assert kinds["broken"] == ["config"]


def test_metrics_file_of_a_sweep_replaces_the_old_one(sweep: Path, tmp_path: Path) -> None:
    """Mode 0644 whatever the umask, nothing left beside it, each series once."""
    folder = tmp_path / "textfile"
    folder.mkdir()
    file = folder / "pop3.prom"
    file.write_text("old")
    file.chmod(0o600)

    done = run("--sweep", str(sweep), "--submit", f"prometheus:{file}", "--rechecks", "0")

    assert done.code == 3, done.out  # two invalid sections
    assert [each.name for each in folder.iterdir()] == ["pop3.prom"]
    assert file.stat().st_mode & 0o7777 == 0o644
    found = series(file.read_text())
    assert found['pop3_state{target="good",service="pop3",state="ok"}'] == 1
    assert found['pop3_failure_info{target="broken",service="pop3",kind="config"}'] == 1
    escaped = r"a \"quoted\" \\ name"
    assert found[f'pop3_probe_success{{target="dead",service="{escaped}"}}'] == 0
    assert found[f'pop3_sweep_not_done_services{{sweep="{file}"}}'] == 0
    ran = found[f'pop3_sweep_last_run_timestamp_seconds{{sweep="{file}"}}']
    assert time.time() - 60 < ran <= time.time()
    assert len({name for name in found if "pop3_probe_success" in name}) == 4


def test_metrics_file_counts_services_that_were_not_done(tmp_path: Path) -> None:
    """They have no metrics of their own, so their number is one."""
    ini, file = tmp_path / "sweep.ini", tmp_path / "pop3.prom"
    with ScriptedServer([silence()]) as server:
        ini.write_text(f"[slow!pop3]\nhostname = 127.0.0.1\nport = {server.port}\n")
        done = run("--sweep", str(ini), "--submit", f"prometheus:{file}", "--run-timeout", "1")

    assert done.code == 3
    found = series(file.read_text())
    assert found[f'pop3_sweep_not_done_services{{sweep="{file}"}}'] == 1
    assert not any(name.startswith("pop3_state") for name in found)


def test_metrics_file_stays_when_a_signal_ends_the_sweep(tmp_path: Path) -> None:
    """Without the missing services their alerts would end."""
    ini, file = tmp_path / "sweep.ini", tmp_path / "pop3.prom"
    file.write_text("old")
    with PoliteServer({}) as polite, ScriptedServer([silence()]) as silent:
        ini.write_text(
            f"[DEFAULT]\nhostname = 127.0.0.1\n[a!x]\nport = {polite.port}\n"
            f"[b!x]\nport = {silent.port}\n"
        )
        arguments = ["--sweep", str(ini), "--submit", f"prometheus:{file}"]
        process = subprocess.Popen([COMMAND, *arguments], stdout=subprocess.PIPE, text=True)
        while not (polite.connections and silent.connections):
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        out = process.communicate(timeout=20)[0]

    assert "stopped from outside" in out
    assert "not submitted: the sweep ended first (a!x)" in out
    assert file.read_text() == "old"


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("prometheus:x.txt", "invalid --submit prometheus:x.txt: must end in .prom"),
        ("prometheus:", "must be icinga2:URL, nagios:FILE, prometheus:FILE or jsonl:-"),
        ("prometheus:/missing/x.prom", "cannot write to directory /missing of --submit"),
    ],
)
def test_metrics_file_that_cannot_work_is_a_usage_error(
    target: str, words: str, sweep: Path
) -> None:
    """Found before a service is checked."""
    done = run("--sweep", str(sweep), "--submit", target)

    assert done.code == 3
    assert words in done.line


def test_metrics_file_that_cannot_be_written_is_critical(sweep: Path, tmp_path: Path) -> None:
    """Prometheus cannot report it then."""
    file = tmp_path / "taken.prom"
    file.mkdir()
    (file / "x").touch()

    done = run("--sweep", str(sweep), "--submit", f"prometheus:{file}")

    assert done.code == 2, done.out
    assert f"not submitted: cannot write {file}: Is a directory" in done.out
    assert not [each for each in os.listdir(tmp_path) if each.startswith("taken.prom.")]


def test_section_with_a_format_is_invalid(tmp_path: Path) -> None:
    """The output of a sweep is one."""
    ini = tmp_path / "sweep.ini"
    ini.write_text("[a!b]\noutput = json\n")

    done = run("--sweep", str(ini))

    assert "--output is only allowed for a single check" in done.out


def test_status_line_in_the_metrics_is_one_comment() -> None:
    """A greeting cannot forge a metric."""
    with ScriptedServer(
        [say(b"-ERR x\n# HELP pop3_state x\npop3_state 1\r\n"), silence()]
    ) as server:
        done = run("-H", "127.0.0.1", "-p", str(server.port), "--output", "prometheus")

    assert done.out.startswith("# POP3 CRITICAL - ")
    assert all("{target=" in name for name in series(done.out))


def test_alert_rules_use_metrics_that_exist() -> None:
    """Each is one that the page describes, and promtool accepts the rules."""
    rules = ROOT / "icinga-templates/prometheus/check_pop3_plus.rules.yml"
    used = set(re.findall(r"\bpop3_[a-z_]+", rules.read_text()))

    described = re.findall(r"^\| `(pop3_[a-z_]+)`", (ROOT / "docs/json.md").read_text(), re.M)
    assert used <= set(described)
    promtool = shutil.which("promtool")
    if promtool:
        done = subprocess.run([promtool, "check", "rules", rules], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
