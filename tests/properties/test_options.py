"""Any command line and any options file: one status line, an exit code from 0 to 3, no traceback.

In process, with a good server that answers at once; the worst command lines as processes.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from check_pop3_plus import start
from check_pop3_plus.check import retries
from check_pop3_plus.model.failures import Phase, ProbeError
from check_pop3_plus.model.report import Address, Lap, Report, Session
from check_pop3_plus.options import ini
from check_pop3_plus.options.table import BY_FLAG, SENSITIVITIES
from check_pop3_plus.probe import addresses, password_source
from check_pop3_plus.support import deadline
from tests.support import output_parsers
from tests.support.command import run
from tests.support.option_list import VALUED

# They run a program or connect: other tests do that.
WITHHELD = {"--password-command", "--oauth-token-url"}
OPTIONS = sorted(VALUED - WITHHELD)
BARE = sorted(BY_FLAG.keys() - VALUED)

HOSTILE = [
    "",
    " ",
    "-",
    "--",
    "=",
    "0",
    "-1",
    "1e9",
    "nan",
    "inf",
    "9" * 400,
    "10:",
    "@~:",
    "x" * 5000,
    "a|b=1",
    "\n",
    "\r\nPOP3 OK",
    "\x1b[31m",
    "$(reboot)",
    "`id`",
    "%s%n",
    "../../etc/passwd",
    "/dev/null",
    "/",
    "/nonexistent/\udcff",
    "\u00e9\u4e2d\u202e",
    "<script>",
    "'\"\\",
    "a=b=c",
    "KIND=STATE",
    "sha256:00",
    "full",
    "localhost",
    "127.0.0.1",
    "::1",
    "60,14",
    "jsonl:-",
    "nagios:/dev/null",
    "icinga2:https://127.0.0.1:1/",
    "tls=5",
    "refused=ok",
]
# Values that fit some option, so that parsing continues after the first one.
FITTING = [
    *("pop.example.org", "5", "10:20", "auto", "plain", "1.2", "none", "dns,tcp", "USER,SASL=X"),
    *("tls=1:2", "timeout=ok", "critical", "33%/5d", "1K:2M", *SENSITIVITIES),
]
values = st.sampled_from(HOSTILE) | st.sampled_from(FITTING) | st.text(max_size=20)
flags = st.sampled_from(OPTIONS)
words = st.one_of(
    st.tuples(flags, values).map(lambda pair: [f"{pair[0]}={pair[1]}"]),
    st.tuples(flags, values).map(list),
    st.sampled_from(BARE).map(lambda flag: [flag]),
    values.map(lambda value: [value]),
)
vectors = st.lists(words, max_size=8).map(lambda lists: [word for each in lists for word in each])
# Most command lines have a host.
with_host = st.tuples(st.sampled_from([[], ["-H", "pop.example.org"]]), vectors).map(
    lambda pair: [*pair[0], *pair[1]]
)


def good_report(*_: object) -> Report:
    """Return the report of a healthy server."""
    session = Session(Address("192.0.2.1", 110))
    session.timeline.laps.append(Lap(Phase.CONNECT, 0.01, ok=True))
    session.greeting, session.began, session.ended = b"+OK ready", 1.0, 1.1
    resolve = Lap(Phase.RESOLVE, 0.001, ok=True)
    return Report((session,), (session,), resolve, None, 0.1, time.time())


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the network, the prompt, pauses and the diagnosis."""
    monkeypatch.setattr(addresses, "probe_addresses", good_report)
    monkeypatch.setattr(retries, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(deadline, "pause", lambda _: None)
    monkeypatch.setattr("check_pop3_plus.check.run._diagnosis", lambda *_: ((), ()))
    monkeypatch.setattr(password_source, "prompt", lambda *_: pytest.fail("there is no terminal"))
    monkeypatch.setattr("check_pop3_plus.options.ini.SEARCH_PATH", ("/nonexistent.ini",))
    # Submission waits for a target that does not accept results.
    monkeypatch.setattr("check_pop3_plus.sweep.targets.submission.PATIENCE_SECONDS", 0.0)


in_process = settings(
    max_examples=80,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def ended_well(argv: list[str], capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run the plugin, assert the rules for any input, and return exit code and output."""
    capfd.readouterr()
    code = start.main(argv, time.monotonic())
    out, err = capfd.readouterr()
    assert code in range(4), argv
    assert err == "", argv
    assert "Traceback" not in out
    assert "bug: " not in out, out
    is_text = out.startswith(("usage: ", "check_pop3_plus "))
    is_json = out.startswith("{")
    if is_text or is_json:
        assert code == 3 or is_json
        return code, out
    assert all(" " <= character <= "~" or character == "\n" for character in out), out
    assert not set("<>&\"'`$\\") & set(out), out
    output_parsers.assert_read_alike(code, out)
    if " - config: " in out:
        assert code == 3
    return code, out


@pytest.mark.usefixtures("no_network")
@given(argv=with_host)
@in_process
@pytest.mark.threat("T18", "T24")
def test_any_command_line_ends_with_a_status_line(
    argv: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """Options with invalid values, values of other options, and noise."""
    code, out = ended_well(argv, capfd)

    if code == 3 and out.startswith("POP3 UNKNOWN - config: "):
        assert out.count("\n") <= 2, out  # a kind, where it came up later than the options


@pytest.mark.usefixtures("no_network")
@given(argv=st.lists(st.text(max_size=30), max_size=6))
@in_process
@pytest.mark.threat("T24")
def test_noise_as_command_line_is_unknown(
    argv: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """As from a template with an unexpected variable."""
    code, _ = ended_well(argv, capfd)

    assert code == 3


keys = st.sampled_from([flag.lstrip("-") for flag in (*OPTIONS, *BARE)]) | st.text(max_size=10)
lines = st.one_of(
    st.builds("{}={}".format, keys, values),
    st.builds("{} = {}".format, keys, values),
    keys,
    st.sampled_from(
        ["[check_pop3_plus]", "[a!b]", "[DEFAULT]", "[", "]", "[]", "[a!b", "# x", ";"]
    ),
    st.builds("[{}!{}]".format, values, values),
    st.text(max_size=30),
)
files = st.lists(lines, max_size=12).map("\n".join).map(
    lambda text: text.encode("utf-8", "surrogateescape" if text.isprintable() else "replace")
) | st.binary(max_size=200)


def _counts(line: str) -> bool:
    return bool(line.strip()) and line.strip()[0] not in "#;"


@given(files)
def test_any_ini_text_is_read_or_refused_by_line(content: bytes) -> None:
    """An error names the line; keys and values are those of the text."""
    text = content.decode("utf-8", "surrogateescape")
    first = next((line.strip() for line in text.split("\n") if _counts(line)), "[")
    if not first.startswith("["):
        with pytest.raises(ProbeError, match=r" \(x\.ini, line [0-9]+\)"):
            list(ini.parts(text, "x.ini"))
        return
    for part in ini.parts(text, "x.ini"):
        for key, value in part.options:
            assert key == key.strip()
            assert value == value.strip()
            assert "\n" not in key + value
            assert key in text
            assert value in text
        for error in part.errors:
            assert re.search(r" \(x\.ini, line [0-9]+\)$", str(error))


@pytest.mark.usefixtures("no_network")
@given(content=files, before=st.sampled_from([[], ["-H", "pop.example.org"], ["-v"]]))
@in_process
@pytest.mark.threat("T24")
def test_any_file_for_extra_opts_ends_with_a_status_line(
    content: bytes, before: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """As for any command line."""
    file = tmp_path / "x.ini"
    file.write_bytes(b"[check_pop3_plus]\n" + content)

    ended_well([*before, f"--extra-opts=@{file}"], capfd)


@pytest.mark.usefixtures("no_network")
@given(
    content=files,
    more=st.sampled_from([[], ["-v"], ["--submit", "jsonl:-"], ["--jobs", "1", "-4"]]),
)
@settings(in_process, max_examples=25)
@pytest.mark.threat("T24")
def test_any_file_of_a_sweep_counts_each_section(
    content: bytes, more: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A section is counted whether it is valid or not."""
    file = tmp_path / "sweep.ini"
    file.write_bytes(content)
    text = content.decode("utf-8", "surrogateescape")

    _, out = ended_well(["--sweep", str(file), "--run-timeout", "20", *more], capfd)

    if " services in " in out.partition("\n")[0] or " service in " in out.partition("\n")[0]:
        sections = [part for part in ini.parts(text, "x") if part.name != "DEFAULT"]
        metrics = output_parsers.guidelines_metrics(output_parsers.nagios(out).perfdata)
        read = {metric.label: metric.value for metric in metrics}
        assert read["services"] == len(sections)
        states = ("ok", "warning", "critical", "unknown")
        assert sum(read.get(state, 0) for state in states) == len(sections)
        assert "not_done" not in read


WORST = [
    [],
    [""],
    ["--"],
    ["-H"],
    ["-H", ""],
    ["-H", "\udcff\udcfe"],
    ["-H", "x", "-w", "\n| a=1"],
    ["-H", "x", "-e", "x" * 100_000, "-p", "0"],
    ["-H", "x", *["-v"] * 50, "--bad\x1b[31m"],
    ["--extra-opts=@/dev/zero", "-H", "x"],
    ["--sweep", "/proc/self/mem"],
    ["-H", "127.0.0.1", "-p", "1", "--ca-file", "\udcff", "-S"],
    ["-H", "127.0.0.1", "-p", "1", "--password-command", "'", "-U", "x", "-S"],
    ["-H", "127.0.0.1", "-p", "1", "--source-address", "203.0.113.9"],
]


@pytest.mark.parametrize("argv", WORST, ids=range(len(WORST)))
@pytest.mark.threat("T24")
def test_worst_command_lines_end_with_a_status_line(argv: list[str]) -> None:
    """Bytes that are not UTF-8, endless files, and very long arguments."""
    done = run(*(os.fsencode(word) for word in argv))  # type: ignore[arg-type]

    assert done.err == ""
    assert done.code in (2, 3)
    assert done.line.startswith(("POP3 UNKNOWN - ", "POP3 CRITICAL - "))
    output_parsers.assert_read_alike(done.code, done.out)
    assert done.seconds < 10
