"""Compare the output of runs with the recorded output.

The records are in `checks/recorded`: one text file for each test module, with an entry for each
run that a fault or threat test passed to `faults.honest`. An entry has the exit code and the whole
output. Values that differ between any two runs, such as times and ports, are replaced by fixed
words.

`make record` rewrites the records. The environment variable RECORD does it for any call of
pytest: with `RECORD=all` the entries that no test has produced are removed, with any other value
they are kept.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support import claims, command
from tests.support.command import Run

FOLDER = Path(__file__).parent.parent / "checks" / "recorded"

RECORD = "RECORD"
"""The environment variable that makes a session write the records."""

PYTHON = (3, 11)
"""The Python whose output is recorded. Others word some errors of the TLS library differently, and
some cannot tell a reset from a close inside TLS."""

NOT_RECORDED = {
    "test_stls_data_in_next_segment_is_injected": "the data may arrive before or in the handshake",
    "test_signal_at_any_moment_ends_the_run": "the signal may arrive in one phase or in the next",
    "test_signal_during_submit_ends_the_run": "any of its checks may be over",
    "test_last_words_after_greeting_are_garbled": "the data may arrive before or after a command",
    "test_reply_to_a_proxy_header_names_the_protocol": "the same",
    "test_memory_limit_leaves_one_line_or_no_output": "the machine decides which call fails",
}
"""Test functions whose runs are not compared, each with the reason."""

_LATE = "an attempt that times out may be without details on a busy machine"
_PINGED = "ping prints times, and the machine decides which steps of a diagnosis end in time"

IN_BRIEF = {
    "test_session_stalled_at_any_step_ends_at_deadline": _LATE,
    "test_handshake_stalled_ends_at_deadline": _LATE,
    "test_stls_accepted_without_handshake_times_out": _LATE,
    "test_flood_inside_one_openssl_call_ends_at_deadline": _LATE,
    "test_large_client_hello_lost_is_the_likely_cause": _PINGED,
    "test_large_certificate_lost_is_the_likely_cause": _PINGED,
    "test_rejection_by_icmp_with_a_ping_answer_is_a_packet_filter": _PINGED,
    "test_late_greeting_is_found_by_the_retry_in_plain_text": _PINGED,
    "test_handshake_without_a_greeting_suggests_the_authentication_process": _PINGED,
    "test_refusal_unasked_inside_tls_is_the_same_refusal": "it may arrive before CAPA, or after it",
    "test_capa_refused_inside_tls_is_a_refusal": "a lost connection has two messages",
    "test_data_in_place_of_the_reply_to_quit_is_garbled": "the same",
    "test_login_withdrawn_is_reported": "the server may end the session before STAT, or after it",
    "test_client_certificate_missing_is_named": "TLS 1.3 reports a rejection after the handshake",
}
"""Test functions of whose runs only the status line, without performance data, and the lines
`kind:` and `try:` are compared, each with the reason."""

SIDE_BY_SIDE = {"test_login_slow_rejection_is_credentials"}
"""Test functions with parallel runs, which may end in any order."""

_MANY = r"(?:36[6-9]|3[7-9]\d|[4-9]\d\d|\d{4,})"
"""More days than a certificate of one year has left."""

_REPLACEMENTS = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        # Paths, each up to the next blank, because a long one is cut.
        (re.escape(tempfile.gettempdir()) + r"/[^\s,;:)]*", "TEMPORARY"),
        (re.escape(str(Path(__file__).parent.parent.parent)) + r"(?=/)", "REPOSITORY"),
        # Times. Those of the chart are aligned and followed by a bar.
        (r"\b(time(?:_[0-9a-z_]+)?)=\d+\.\d+s", r"\1=TIMEs"),
        (r" +\d+\.\d{3} s(?: #+(?=\n|$))?", " TIME s"),
        (r"\b\d+\.\d s\b", "TIME s"),
        (r"\bafter \d+ s\b", "after TIME s"),
        (r'("value": )\d+\.\d+', r"\1TIME"),
        (r"\b(delivery)=\d+\.\d+s", r"\1=TIMEs"),
        (r"\b(?:\d+ (?:d|h|min|s) ){1,2}ago\b", "AGE ago"),
        (r"\bmailbox is (?:\d+ (?:d|h|min|s) ){1,2}old\b", "mailbox is AGE old"),
        (r"\b((?:newest|oldest)_age)=\d+s", r"\1=AGEs"),
        (r"\b(newest|message is) (?:\d+ min )?\d+ s old", r"\1 AGE old"),
        # Dates, and time spans from now. Certificates created by the tests always have the same
        # whole days left; fixed dates in the tests are further away.
        (r"\b\d{4}-\d\d-\d\d(?: \d\d:\d\d)?", "DATE"),
        (r"\b" + _MANY + r" days\b", "MANY days"),
        (r"\b((?:cert|chain)_days(?:_[0-9a-z_]+)?)=-?" + _MANY + r"\.\d+", r"\1=MANY"),
        (r"\b((?:cert|chain)_days(?:_[0-9a-z_]+)?=-?\d+)\.\d+", r"\1"),
        # Certificates are new in every session.
        (r"\b(Testing (?:CA|cert) #)[\w-]{16}", r"\1NAME"),
        (r"\bserial -?[0-9A-F]{20,}", "serial NUMBER"),
        (r"\bsha256:[0-9a-f]{64}", "sha256:HASH"),
        # Places in the source.
        (r"(?<=trace: )(\S+, line )\d+", r"\1NUMBER"),
        # The paths of the system trust store.
        (r"(the system trust store \()[^)]*", r"\1PATHS"),
        # Ports chosen by the system.
        (r"(?<=:)\d{5}\b", "PORT"),
        (r"\bport \d{5}\b", "port PORT"),
        (r" -p \d{5}\b", " -p PORT"),
    )
]


class Entry(NamedTuple):
    """The record of one run."""

    code: int
    out: str
    """The output, normalised."""

    def __str__(self) -> str:
        return f"exit {self.code}\n" + "".join(f"    {line}\n" for line in self.out.splitlines())


Record = dict[str, Entry]
"""Entries by their keys, `test_function[parameters] #number`."""


def normalised(text: str) -> str:
    """Return an output without the values that differ between two runs."""
    for pattern, replacement in _REPLACEMENTS:
        text = pattern.sub(replacement, text)
    if " within 1 s" in text:  # whether the phases took the second that the chart needs
        text = re.sub("^time: .*\n?", "", text, flags=re.M)
    return text


def _entries(function: str, runs: Iterable[Run]) -> list[Entry]:
    """Return the records of the runs of a test function."""
    entries = []
    for run in runs:
        lines = normalised(run.out).splitlines()
        if function in IN_BRIEF:
            long = [line for line in lines[1:] if line.startswith(("kind: ", "try: "))]
            lines = [lines[0].partition(" | ")[0], *long] if lines else []
        entries.append(Entry(run.code, "\n".join(lines)))
    return sorted(entries) if function in SIDE_BY_SIDE else entries


# --- files -------------------------------------------------------------------------------------


def written(record: Mapping[str, Entry]) -> str:
    """Return the text of a file of entries, sorted by key."""
    return "\n".join(f"{key}\n{record[key]}" for key in sorted(record, key=_place))


def _place(key: str) -> tuple[str, int]:
    test, _, number = key.rpartition(" #")
    return test, int(number)


def read(text: str) -> Record:
    """Return the entries of a file."""
    record: Record = {}
    key, code, lines = "", 0, list[str]()
    for line in [*text.splitlines(), ""]:
        if line.startswith("    "):
            lines.append(line[4:])
        elif line.startswith("exit ") and key:
            code = int(line.removeprefix("exit "))
        elif line:
            key = line
        elif key:
            record[key] = Entry(code, "\n".join(lines))
            key, lines = "", []
    return record


@cache
def _files() -> dict[str, Record]:
    """Return the entries of all files, by the name of the file."""
    files = FOLDER.glob("*.txt")
    return {file.stem: read(file.read_text()) for file in files if file.stem != "command_lines"}


def _recorded(file: str, test: str) -> Record:
    """Return the entries of a test.

    If its own file has none, the test was moved, and those of another file are used.
    """
    others = [record for name, record in _files().items() if name != file]
    for record in (_files().get(file, {}), *others):
        found = {key: entry for key, entry in record.items() if key.rpartition(" #")[0] == test}
        if found:
            return found
    return {}


# --- tests -------------------------------------------------------------------------------------


def is_recorded(item: pytest.Item) -> bool:
    """Return whether the runs of a test are recorded.

    Tests with real monitoring systems and other servers are not, because their output depends on
    what is installed; nor are randomly chosen examples. Mutation runs do not compare records,
    because the assertions of the tests have to kill the mutants.
    """
    return (
        any(True for name in ("fault", "threat") for _ in item.iter_markers(name))
        and ".systems." not in _module(item)
        and not hasattr(getattr(item, "function", None), "hypothesis")
        and _function(item) not in NOT_RECORDED
        and command.IN_PROCESS not in os.environ
        and sys.version_info[:2] == PYTHON
    )


def check(item: pytest.Item) -> None:
    """Compare the runs of a test with its entries, or keep them for recording."""
    if not is_recorded(item):
        return
    entries = _entries(_function(item), claims.seen)
    runs = {f"{item.name} #{number}": entry for number, entry in enumerate(entries, 1)}
    if RECORD in os.environ:
        _keep({"file": _file(item), "test": item.name, "runs": runs})
        return
    differences = list(_differences(_recorded(_file(item), item.name), runs))
    assert not differences, "\n".join(["the output is not the recorded one", *differences])


def _differences(recorded: Record, runs: Record) -> Iterator[str]:
    """Yield a message for each run that differs from its entry."""
    for key in runs.keys() - recorded.keys():
        yield f"{key}: there is no entry; run `make record`\n{runs[key]}"
    for key in recorded.keys() - runs.keys():
        yield f"{key}: there is an entry, but there was no such run; run `make record`"
    for key in runs.keys() & recorded.keys():
        before, now = str(recorded[key]).splitlines(), str(runs[key]).splitlines()
        if before != now:
            yield "\n".join(difflib.unified_diff(before, now, key, "now", n=1, lineterm=""))


def _function(item: pytest.Item) -> str:
    return getattr(item, "originalname", None) or item.name


def _module(item: pytest.Item) -> str:
    module = getattr(item, "module", None)
    return module.__name__ if module else ""


def _file(item: pytest.Item) -> str:
    """Return the name of the file that has the entries of a test: `faults_greeting`."""
    return _module(item).rpartition(".")[2].removeprefix("test_")


# --- recording ---------------------------------------------------------------------------------
#
# Tests may run in several processes. Each appends to its own file, from which the main process
# of the session writes the records.

_PARTS = "POP3_TESTS_RECORD_PARTS"
"""The folder for the files of the single processes."""


def begin() -> None:
    """Prepare the recording at the beginning of a session, if RECORD is set."""
    if RECORD in os.environ and _PARTS not in os.environ:
        os.environ[_PARTS] = tempfile.mkdtemp(prefix="recorded-")


def _keep(part: object) -> None:
    with (Path(os.environ[_PARTS]) / str(os.getpid())).open("a") as file:
        file.write(json.dumps(part) + "\n")


def finish(session: pytest.Session) -> None:
    """Write the records at the end of a session, if RECORD is set."""
    if RECORD not in os.environ:
        return
    collected = [item.name for item in session.items if is_recorded(item)] if session.items else []
    if collected:
        _keep({"collected": collected})
    if not hasattr(session.config, "workerinput"):
        folder = Path(os.environ.pop(_PARTS))
        files = sorted(folder.iterdir())
        _write(json.loads(line) for file in files for line in file.read_text().splitlines())
        for file in files:
            file.unlink()
        folder.rmdir()


def _write(parts: Iterable[dict[str, object]]) -> None:
    """Write the records. Entries of tests that were skipped, or failed, are kept."""
    produced: dict[str, Record] = {}
    collected: set[object] = set()
    done: set[tuple[object, object]] = set()
    for part in parts:
        if "collected" in part:
            collected |= set(part["collected"])  # type: ignore[call-overload]
            continue
        done.add((part["file"], part["test"]))
        runs = part["runs"]
        assert isinstance(runs, dict)
        record = produced.setdefault(str(part["file"]), {})
        record.update({key: Entry(*entry) for key, entry in runs.items()})
    is_whole = os.environ[RECORD] == "all"
    for file, record in _files().items():
        for key, entry in record.items():
            test = key.rpartition(" #")[0]
            if (file, test) not in done and (test in collected or not is_whole):
                produced.setdefault(file, {})[key] = entry
    FOLDER.mkdir(parents=True, exist_ok=True)
    for file in _files().keys() - {name for name, record in produced.items() if record}:
        (FOLDER / f"{file}.txt").unlink()
    for file, record in produced.items():
        if record:
            (FOLDER / f"{file}.txt").write_text(written(record))
