"""The plugin's output, parsed as Icinga 2 and Nagios parse it.

Both find the intended metrics and the same status, and no untrusted text becomes a metric, a macro
or an additional line. `faults.honest` parses the output of whole commands in the same way.
"""

from __future__ import annotations

import datetime as dt
import json
import select
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from check_pop3_plus.check import run
from check_pop3_plus.check.default_states import POLICIES
from check_pop3_plus.check.verdict import STATUS_LIMIT, Figure, Verdict
from check_pop3_plus.model.failures import LOCAL, Failure, Kind, Phase
from check_pop3_plus.model.report import (
    Address,
    CertificateFacts,
    Chain,
    Lap,
    MailboxFacts,
    Note,
    Report,
    Session,
    TlsFacts,
)
from check_pop3_plus.model.sanitised_text import Printable, sanitise
from check_pop3_plus.model.settings import HttpsEndpoint, RestApi, State, SubmitTarget, Sweep
from check_pop3_plus.options.validators import UsageError
from check_pop3_plus.output import plugin_text
from check_pop3_plus.output.plugin_text import render
from check_pop3_plus.probe import addresses
from check_pop3_plus.sweep import summary as sweep_summary
from check_pop3_plus.sweep.outcome import Outcome
from check_pop3_plus.sweep.services import Service
from check_pop3_plus.sweep.targets import icinga2_target, jsonl_target, nagios_target
from tests.support import output_parsers
from tests.support.faults import LABELS, STATES
from tests.support.settings_from import check_settings

NOW = dt.datetime(2027, 1, 15, 12, 0, tzinfo=dt.timezone.utc)

# What servers are known to have tried, and any text at all.
HOSTILE = [
    "x|time=0s;;;; cert_days=999",
    "\r\nPOP3 OK - fine | time=0s",
    "x\n|messages=0",
    "a=b 'c d'=1;2;3",
    "a::b=3",
    "<script>alert(1)</script>",
    "\x1b]0;x\x07\x1b[31m",
    "$USER1$ $(reboot) `id` ~root & ; \\n \\\\",
    "\u2028\u202e\x85\ud800",
    "%s%n{0}{x!r}",
    "'\"",
    "x" * 5000,
]
foreign = st.sampled_from(HOSTILE) | st.text(max_size=60)
octets = foreign.map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=60)
quotes = st.builds(sanitise, foreign | octets)
sentences = quotes.map(lambda quote: Printable(f"says {quote or 'nothing'}"))
# Of the user, who gets no line break into an option.


def as_an_option(text: str) -> str:
    """Return bytes as the interpreter passes arguments that are not UTF-8."""
    octets = text.encode("utf-8", "surrogatepass").translate(None, b"\0\r\n")
    return octets.decode("utf-8", "surrogateescape") or "x"


words = foreign.map(as_an_option)
seconds = st.floats(0, 10_000).map(lambda value: round(value, 4))
moments = st.none() | st.floats(-900, 9000).map(lambda days: NOW + dt.timedelta(days=days))
ranges = st.none() | st.sampled_from(["0.5", "5:", "@1:2", "~:9", "0:3.5", "-5:9", ".5"])

certificates = st.builds(
    CertificateFacts,
    not_before=moments,
    not_after=moments,
    subject=st.none() | quotes,
    issuer=st.none() | quotes,
    names=st.lists(quotes, max_size=4).map(tuple),
    names_left_out=st.integers(0, 9999),
    serial=quotes,
    fingerprint=quotes,
    public_key=st.none() | quotes,
    key=quotes,
    key_bits=st.none() | st.integers(0, 16384),
    weakness=st.none() | quotes,
    is_self_issued=st.booleans(),
    issuer_names=st.lists(foreign, max_size=2).map(tuple),
    unreadable=st.lists(quotes, max_size=2).map(tuple),
)
failures = st.none() | st.builds(
    Failure, st.sampled_from(Kind), st.none() | st.sampled_from(Phase), sentences
)
hosts = st.sampled_from(["192.0.2.1", "2001:db8::1", "fe80::1%eth0", "192.0.2.77"])


@st.composite
def sessions(draw: st.DrawFn) -> Session:
    host = draw(hosts)
    session = Session(Address(host, 995, ":" in host))
    taken = draw(st.dictionaries(st.sampled_from(Phase), seconds, max_size=5))
    session.timeline.laps.extend(Lap(phase, value, ok=True) for phase, value in taken.items())
    session.began, session.ended = draw(st.sampled_from([(None, None), (1.0, 1.5), (1.0, None)]))
    session.greeting = draw(st.none() | octets)
    session.greeting_shown = sanitise(session.greeting or b"")
    session.capabilities = draw(st.none() | st.lists(quotes, max_size=4).map(tuple))
    session.offered = frozenset({("USER", None), (draw(foreign), draw(st.none() | foreign))})
    if draw(st.booleans()):
        session.tls = TlsFacts("TLSv1.3", "AES", (), (), verified=draw(st.booleans()))
        sent = tuple(draw(st.lists(certificates, max_size=3)))
        session.chain = Chain(sent, draw(st.integers(0, 99)), sent, draw(st.booleans()))
    if draw(st.booleans()):
        session.mailbox = MailboxFacts(draw(st.integers(0, 10**18)), draw(st.integers(0, 10**18)))
    session.login_began = draw(st.booleans())
    session.logged_in_as = draw(st.none() | quotes)
    session.transcript = draw(st.lists(quotes, max_size=6))
    session.protocol_warnings = draw(st.lists(quotes, max_size=2))
    noted = st.sampled_from([kind for kind in Kind if kind not in LOCAL and _has_state(kind)])
    session.notes = draw(st.lists(st.builds(Note, noted, sentences), max_size=2))
    session.failure = draw(failures.filter(lambda each: not each or _has_state(each.kind)))
    return session


def _has_state(kind: Kind) -> bool:
    """Return whether a kind can be a failure, and not only a crossed threshold."""
    return POLICIES[kind].state is not None


@st.composite
def arguments(draw: st.DrawFn) -> list[str]:
    argv = [
        "-H",
        draw(st.sampled_from(["pop.example.org", "2001:db8::5", "xn--bcher-kva.example"])),
    ]
    argv += ["-S", *draw(st.sampled_from([[], ["-v"], ["-vv"], ["-vvv"]]))]
    argv += ["-t", draw(st.sampled_from(["10", "0.5", "3600", "7.25"]))]
    for option in ("-w", "-c", "--messages-warning", "--size-critical"):
        spec = draw(ranges)
        needs_login = option.startswith("--")
        if spec and not needs_login:
            argv += [option, spec]
    argv += draw(st.sampled_from([[], ["-D", "60"], ["-D", "33%,7d"], ["-D", "30d/33%"]]))
    argv += draw(st.sampled_from([[], ["--all-addresses"], ["--verify", "none"]]))
    argv += draw(st.sampled_from([[], ["--require-capa", "UIDL,SASL=PLAIN"]]))
    if draw(st.booleans()):
        argv += [f"--expect={draw(words)}"]
    if draw(st.booleans()):
        argv += [f"--issuer={draw(words)}"]
    argv += [f"--ca-file={draw(words)}"] * draw(st.integers(0, 1))
    return argv


@st.composite
def verdicts(draw: st.DrawFn) -> tuple[Verdict, Report, list[str]]:
    """Return the verdict on any report, with the report and the command line."""
    argv = draw(arguments())
    tried = tuple(draw(st.lists(sessions(), min_size=1, max_size=3)))
    evaluated = tried if "--all-addresses" in argv else tried[-1:]
    resolve = Lap(Phase.RESOLVE, draw(seconds), ok=True)
    # Two addresses are never the same.
    for number, session in enumerate(tried):
        session.address = session.address.replace(host=f"{session.address.host[:10]}{number}")
        if number:  # of several, one may log in
            session.mailbox = None
    report = Report(tried, evaluated, resolve, None, draw(st.none() | seconds), NOW.timestamp())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(addresses, "probe_addresses", lambda *_: report)
        try:
            wanted = check_settings(argv)
        except UsageError as error:
            return Verdict(State.UNKNOWN, f"{error.kind.value}: {error.message}"), report, argv
        return run.run_check(wanted, 0), report, argv


def assert_harmless(output: str, limit: int) -> None:
    assert all(" " <= character <= "~" or character == "\n" for character in output), output
    assert not set("<>&\"'`$\\") & set(output), output
    assert output.count("|") <= 1
    assert len(output) <= limit
    assert output.endswith("\n")
    first, *long = output.splitlines()
    assert len(first.partition(" | ")[0]) <= STATUS_LIMIT
    assert all(line.partition(": ")[0].replace(" ", "").isalnum() for line in long), output
    assert not any(line.startswith("POP3") for line in long)


def metrics_meant(report: Report) -> dict[str, float]:
    """Return the measured values from the report, not from the output."""
    meant = {} if report.elapsed is None else {"time": report.elapsed}
    for phase, taken in report.seconds().items():
        meant[f"time_{phase.value}"] = taken
    return meant


@given(verdicts())
@settings(max_examples=25)
@pytest.mark.threat("T10", "T12")
def test_output_is_parsed_alike_by_icinga_and_nagios(
    made: tuple[Verdict, Report, list[str]],
) -> None:
    """Texts of servers, certificates and users are in every place of the output."""
    verdict, report, argv = made
    output = render(verdict)

    assert_harmless(output, 16 * 1024 if {"-vv", "-vvv"} & set(argv) else 4 * 1024)
    metrics = output_parsers.assert_read_alike(verdict.state.value, output)
    read = {metric.label: metric for metric in metrics}
    assert set(read) <= set(LABELS) | {
        label for label in read if label.startswith(("time_", "cert_"))
    }
    if verdict.figures:
        for label, value in metrics_meant(report).items():
            assert read[label].value == pytest.approx(value, abs=0.00006)
            assert read[label].unit == "s"
        mailboxes = [each.mailbox for each in report.evaluated if each.mailbox]
        if mailboxes:
            assert read["messages"].value in {float(each.messages) for each in mailboxes}
        assert ("messages" in read) == bool(mailboxes)
        assert [each.label for each in verdict.figures] == list(read)


@given(verdicts(), st.sampled_from(["pop.example.org!pop3", "h\u00f6st!p\\n3", "a b!c d e"]))
@settings(max_examples=10)
@pytest.mark.threat("T10")
def test_nagios_command_has_one_line_with_the_output_of_the_check(
    made: tuple[Verdict, Report, list[str]], name: str
) -> None:
    """In one write, with the long output escaped."""
    verdict, _, _ = made
    line = nagios_target._command(Outcome(Service(name, ()), verdict, ended=1700000000.0))

    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert len(line) <= select.PIPE_BUF
    command = output_parsers.nagios_command(line.decode()[:-1])
    assert (command.time, command.code) == (1700000000, verdict.state.value)
    assert f"{command.host}!{command.service}" == name
    arrived = output_parsers.nagios(command.output, is_escaped=True)
    direct = output_parsers.nagios(render(verdict))
    assert arrived.text == direct.text
    assert arrived.perfdata == direct.perfdata
    assert direct.long.startswith(arrived.long)
    assert arrived.long == "" or direct.long[len(arrived.long) :][:1] == "\n"


def test_nagios_command_leaves_out_whole_figures() -> None:
    """Half a number would be another number."""
    figures = tuple(
        Figure(f"time_192_0_2_{number}", number / 10_000, "s", min=0) for number in range(400)
    )
    verdict = Verdict(State.OK, "fine", figures, ("note: x",), is_verbose=True)
    line = nagios_target._command(Outcome(Service("a!b", ()), verdict, ended=0.0))

    assert len(render(verdict)) > select.PIPE_BUF
    assert 3900 < len(line) <= select.PIPE_BUF
    arrived = output_parsers.nagios(
        output_parsers.nagios_command(line.decode()[:-1]).output, is_escaped=True
    )
    shown = arrived.perfdata.split()
    assert shown == [plugin_text.perfdata(each) for each in figures[: len(shown)]]


@given(verdicts())
@settings(max_examples=10)
@pytest.mark.threat("T10")
def test_icinga_request_has_single_metrics_and_text_without_any(
    made: tuple[Verdict, Report, list[str]],
) -> None:
    """The API takes metrics one by one."""
    verdict, _, _ = made

    result = json.loads(icinga2_target._result(Outcome(Service("a!b", ()), verdict)))

    assert result["exit_status"] == verdict.state.value
    assert output_parsers.icinga(result["plugin_output"]).perfdata == ""
    for word in result["performance_data"]:
        assert output_parsers.icinga_words(word) == [word]
        output_parsers.icinga_metric(word)


names = st.builds("{}!{}".format, words, words) | words
states = st.sampled_from(State)


@given(
    st.lists(st.tuples(names, states, sentences, st.booleans()), min_size=1, max_size=12),
    st.integers(0, 3),
    st.booleans(),
    st.sampled_from([None, SubmitTarget("icinga2", RestApi(HttpsEndpoint("x", 1, "/"), "u", "f"))]),
)
@settings(max_examples=25)
@pytest.mark.threat("T10", "T12")
def test_sweep_output_is_harmless(
    found: list[tuple[str, State, Printable, bool]],
    missing: int,
    is_stopped: bool,
    submit_target: Any,
) -> None:
    """Names of sections and texts of servers, in status line, long output and JSON."""
    services = [Service(name, ()) for name, *_ in found]
    wanted = Sweep("x.ini", submit_target=submit_target, verbosity=1)
    tally = sweep_summary.Tally(
        [*services, *(Service("late!x", ()) for _ in range(missing))], wanted
    )
    for service, (_, state, said, is_readable) in zip(services, found, strict=True):
        outcome = Outcome(service, Verdict(state, said), is_readable=is_readable)
        tally.add(outcome)
        if submit_target and state is State.WARNING:
            tally.add_refused([(outcome, said)])
        line = jsonl_target.result_line(outcome)
        assert "\n" not in line
        assert json.loads(line)["state"] == state.name

    verdict = tally.verdict(1.25, is_stopped)
    output = sweep_summary.as_text(verdict, tally)

    names = sum(len(each) for each in output.split("\n") if "not " in each)
    assert_harmless(output, plugin_text.VERBOSE_OUTPUT_LIMIT + names)
    metrics = output_parsers.assert_read_alike(verdict.state.value, output)
    read = {metric.label: metric.value for metric in metrics}
    assert read["time"] == 1.25
    assert read["services"] == len(found) + missing
    counts = {each.name.lower(): sum(state is each for _, state, *_ in found) for each in State}
    counts["not_done"] = missing
    for name, count in counts.items():
        assert read.get(name, 0) == count
    summary = jsonl_target.summary_line(verdict, tally)
    assert "\n" not in summary
    assert json.loads(summary)["state"] == STATES[verdict.state.value]
