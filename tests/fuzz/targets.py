"""The fuzz targets: each function takes any bytes and fails if an invariant is violated."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

from nagiosplugin import Range

from check_pop3_plus.certificate import der as certificate_der
from check_pop3_plus.certificate import reader, rfc5280_rules
from check_pop3_plus.check.verdict import Verdict
from check_pop3_plus.model import sanitised_text
from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.model.foreign_json import json_object
from check_pop3_plus.model.report import TlsFacts
from check_pop3_plus.model.settings import (
    LOGIN_METHODS,
    Login,
    Secret,
    SecretSource,
    Security,
    Settings,
    State,
    SubmitTarget,
    Sweep,
    Target,
    Verify,
)
from check_pop3_plus.net import client_hello, dns_query, https
from check_pop3_plus.options import parser
from check_pop3_plus.options.parser import HelpRequested
from check_pop3_plus.output.plugin_text import render
from check_pop3_plus.pop3 import login
from check_pop3_plus.pop3.grammar import Reply
from check_pop3_plus.probe import oauth_token
from check_pop3_plus.support import files
from check_pop3_plus.support.masking import Masker
from check_pop3_plus.sweep import services as sweep_services
from check_pop3_plus.sweep import summary
from check_pop3_plus.sweep.outcome import Outcome
from check_pop3_plus.sweep.targets import icinga2_target, jsonl_target, nagios_target
from tests.pki.expected_verdicts import FIRST, deserves_ok
from tests.support import http_replies
from tests.support.command import Run
from tests.support.faults import CANARY, assert_no_canary, honest
from tests.support.good_dialogues import LOGIN_METHODS as AUTHS
from tests.support.good_dialogues import SECURITIES, signatures, transcript
from tests.support.in_process import Chunk, Scenario, Script, Stage, Turn, keep_the_promise
from tests.support.settings_from import check_settings

CORPUS = Path(__file__).with_name("corpus")

STAGE = Stage()
"""Set by the caller of the targets."""

SCENARIOS = tuple(
    Scenario(security, method) for security in SECURITIES for method in (None, *AUTHS)
)

# Bytes that do not occur in UTF-8, and so not in texts.
_TURN, _LATE, _PROMPT = b"\xff", b"\xfe", b"\xfd"
_ENDS = {b"\xfc": "eof", b"\xfb": "stall", b"\xfa": "reset"}


# --- input from servers -------------------------------------------------------------------------


def conversation(data: bytes) -> None:
    """Play a whole session: there is no false OK and no false alarm."""
    script, is_verbose = to_script(data)
    played = STAGE.play(script, *(("-vvv",) if is_verbose else ()))
    keep_the_promise(played, script.scenario)
    is_deserved = deserves_ok(script, signatures())
    # Without a login, unexpected data is a warning.
    is_ok = played.run.code == 0
    assert is_deserved is None or is_ok == is_deserved, (is_deserved, played.run.out)


def to_script(data: bytes) -> tuple[Script, bool]:
    """Parse a script: the scenario, then turns with marks between and in them."""
    number, data = data[:1] or b"\0", data[1:]
    scenario = SCENARIOS[(number[0] >> 1) % len(SCENARIOS)]
    return Script(scenario, tuple(_to_turn(turn) for turn in data.split(_TURN))), number[0] % 2 == 1


def _to_turn(data: bytes) -> Turn:
    end = next((mark for mark in _ENDS if mark in data), b"")
    if end:
        data = data.partition(end)[0]
    pieces = re.split(b"([" + _LATE + _PROMPT + b"])", data)
    marks = [_PROMPT, *pieces[1::2]]
    chunks = [
        Chunk(piece, mark == _LATE) for piece, mark in zip(pieces[::2], marks, strict=True) if piece
    ]
    return Turn(tuple(chunks), _ENDS.get(end, ""))


def from_script(script: Script, is_verbose: bool = False) -> bytes:
    """Return a script in the form that `to_script` parses."""
    ends = {name: mark for mark, name in _ENDS.items()}
    turns = [
        b"".join((_LATE if chunk.is_late else b"") + chunk.data for chunk in turn.chunks)
        + ends.get(turn.end, b"")
        for turn in script.turns
    ]
    return bytes([SCENARIOS.index(script.scenario) * 2 + is_verbose]) + _TURN.join(turns)


def sasl(data: bytes) -> None:
    """Run an exchange with unencoded challenges, which reach more code than base64 ones."""
    method = LOGIN_METHODS[2:][(data[:1] or b"\0")[0] % len(LOGIN_METHODS[2:])]
    challenges = data[1:].split(b"\n")
    identity = Login("monitor", SecretSource(), method)
    steps = login.begin(method, identity, Secret(CANARY.encode()), Target("a", 110), b"+OK")
    sent = 0
    reply: Reply | None = None
    with suppress(ProbeError, StopIteration):
        command = next(steps)
        for challenge in challenges:
            sent += 1
            assert re.fullmatch(rb"[^\r\n\0]*\r\n", command.wire), command
            assert_no_canary(command.shown)
            command = steps.send(Reply(False, b"", challenge=b64encode(challenge)))
        try:
            steps.send(Reply(True, b"fine"))
        except StopIteration as end:
            reply = end.value
    if reply and reply.ok:
        assert len(challenges) <= 2, "a success too late"
        if method.startswith("scram"):
            assert challenges[0] == FIRST, "another server"
            signature = b"v=" + signatures()[method]
            assert challenges[1].partition(b",")[0] == signature, "a success without a signature"


# --- certificates ------------------------------------------------------------------------------


def certificates(data: bytes) -> None:
    """Evaluate a chain: every chain gives a result, and OK only if its dates are readable."""
    flags = (data[:1] or b"\0")[0]
    sent = tuple(one_by_one(data[1:]))[:20]
    for der in sent:
        with suppress(ValueError):
            fields = certificate_der.parse(der)
            rfc5280_rules.defects([fields])
        assert None not in reader.read(der, sanitised_text.sanitise).unreadable
    path = sent if flags & 1 else ()
    words = ["-H", "localhost", "-S", "-D", "60,14"]
    words += [] if path else ["--verify", "none"]
    words += ["-vv"] if flags & 2 else []
    words += ["--min-key-bits", "2048", "--max-validity", "398"] if flags & 4 else []
    words += ["--issuer", "Root"] if flags & 8 else []
    script = transcript(Scenario("tls"))
    tls = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", sent, path, verified=bool(path))
    played = STAGE.attempt(_settings(words), script, tls)
    reader.read_chain.cache_clear()
    reader._read.cache_clear()
    keep_the_promise(played, script.scenario)
    if played.is_ok and sent:
        shown = played.run.perfdata
        assert "cert_days" in shown, played.run.out
        for label in {"cert_days", "chain_days"} & set(shown):
            assert float(shown[label].partition(";")[0]) >= 60, played.run.out


def one_by_one(data: bytes) -> Iterator[bytes]:
    """Yield the certificates, split by the length at the start of each."""
    while data:
        length = int.from_bytes(data[2:4], "big") + 4 if data[:2] == b"\x30\x82" else len(data)
        yield data[:length]
        data = data[length:]


# --- input from users --------------------------------------------------------------------------


def argv(data: bytes) -> None:
    """Parse a command line: valid settings, or one error line."""
    words = [word.decode("utf-8", "surrogateescape") for word in data.split(b"\0")]
    with patch.object(files, "read_file", lambda *_, **__: b"[check_pop3_plus]\nhostname = a\n"):
        _understood(words)


def ini(data: bytes) -> None:
    """Parse files for --extra-opts and --sweep."""
    is_sweep, content = data[:1] == b"\1", data[1:]
    with patch.object(files, "read_file", lambda *_, **__: content):
        if is_sweep:
            _swept(Sweep("file", submit_target=SubmitTarget("nagios", "nagios.cmd")))
        else:
            _understood(["--extra-opts=@file"])


def _understood(words: list[str]) -> None:
    try:
        understood = parser.read(words)
    except HelpRequested:
        return
    except ProbeError as error:
        _assert_usage_error(error)
        return
    if isinstance(understood, Sweep):
        assert 0 < understood.run_timeout <= 3600
        return
    _assert_sane(understood)
    method = understood.login.mechanism if understood.login else None
    security = {"ssl": "tls", "starttls": "stls"}.get(understood.tls.security.value, "plain")
    script = transcript(Scenario(security, method))
    # Without options that act outside this process.
    target = understood.target.replace(all_addresses=False, min_addresses=None)
    limits = understood.limits.replace(rechecks=0)
    played = STAGE.attempt(understood.replace(target=target, limits=limits, diagnosis=None), script)
    honest(played.run, has_secret=False)


def _assert_usage_error(error: ProbeError) -> None:
    assert error.kind is Kind.CONFIG
    verdict = Verdict(State.UNKNOWN, f"{error.kind.value}: {error.message}")
    done = honest(Run(3, render(verdict), "", 0.0), has_secret=False)
    assert done.out.count("\n") == 1


def _assert_sane(settings: Settings) -> None:
    target, tls, limits = settings.target, settings.tls, settings.limits
    assert 1 <= target.port <= 65535
    for name in (target.hostname, tls.name, target.connect_to or "a"):
        assert re.fullmatch(r"[!-~]{1,269}", name), name
    assert 0 < limits.timeout <= limits.run_timeout <= 3600
    wanted = settings.login
    if wanted and not wanted.allow_insecure:
        assert tls.security is not Security.PLAIN
        assert tls.verify is Verify.FULL
    ranges = settings.thresholds
    for pair in (ranges.time, ranges.messages, ranges.size, *ranges.phases.values()):
        for spec in (pair.warning, pair.critical):
            if spec is not None:
                Range(spec)
    assert not any(settings.states.get(kind) for kind in ("config", "bug", "stopped"))


def _swept(wanted: Sweep) -> None:
    try:
        services = sweep_services.read(wanted)
    except ProbeError as error:
        _assert_usage_error(error)
        return
    tally = summary.Tally(services, wanted.replace(submit_target=None))
    for service in services[:20]:
        verdict = Verdict(State.OK, "fine")
        is_readable = False
        settings = sweep_services.Builder().settings_of(service)
        if isinstance(settings, ProbeError):
            _assert_usage_error(settings)
            verdict = Verdict(State.UNKNOWN, f"{settings.kind.value}: {settings.message}")
        else:
            _assert_sane(settings)
            is_readable = True
        outcome = Outcome(service, verdict, is_readable)
        tally.add(outcome)
        json.loads(jsonl_target.result_line(outcome))
        if is_readable and ";" not in service.name:
            command = nagios_target._command(outcome)
            assert re.fullmatch(rb"\[0\] PROCESS_SERVICE_CHECK_RESULT;[^;]+;[^;]+;0;.*\n", command)
    out = render(tally.verdict(1.0))
    assert re.fullmatch(r"[\n -~]*", out), out
    assert out.count("|") == 1, out
    assert len(out) <= 16 * 1024
    json.loads(jsonl_target.summary_line(tally.verdict(1.0), tally))


# --- other input -------------------------------------------------------------------------------


def name_server(data: bytes) -> None:
    """Parse an answer of a name server, and a resolv.conf."""
    number = int.from_bytes(data[:2], "big")
    answer = dns_query.parse(data, number)
    if answer:
        assert re.fullmatch(r"[A-Z]+|code [0-9]+", answer.code)
        assert 0 <= answer.records < 65536
        assert data[2] & 0x80, "a question, taken for an answer"
    for server in dns_query.servers(data):
        assert re.fullmatch(r"[0-9A-Fa-f:.]+(%\w+)?", server)


def server_hello(data: bytes) -> None:
    """Parse the answer to a legacy TLS handshake, independently of its chunks."""
    outcomes = []
    for length in (len(data) // 3, len(data) // 2, len(data)):
        try:
            outcomes.append(str(client_hello.answer(data[:length])))
        except ProbeError as error:
            outcomes.append(error.message)
    assert set(outcomes) <= {
        *("None", "", "SSL 3.0", "TLS 1.0", "TLS 1.1"),
        "answers no handshake with legacy TLS",
    }
    decided = [outcome for outcome in outcomes if outcome != "None"]
    assert len(set(decided)) <= 1, outcomes
    assert decided == outcomes[len(outcomes) - len(decided) :], outcomes


def https_reply(data: bytes) -> None:
    """Parse the response of a token endpoint or of Icinga."""
    try:
        status, body = http_replies.read(*data.split(_TURN))
    except ProbeError as error:
        _assert_message(error)
        return
    assert len(body) <= https.BODY_LIMIT
    secret = Secret(CANARY.encode())
    try:
        token = oauth_token.parse_token(status, body, [secret]).reveal()
    except ProbeError as error:
        _assert_message(error)
    else:
        assert status == 200
        assert re.fullmatch(rb"[!-~]{1,8192}", token)
    said = json_object(body)
    if said is not None:
        api = icinga2_target.Target.__new__(icinga2_target.Target)
        api._may_quote = True
        api._sanitise = Masker([CANARY.encode()]).sanitise
        refusal = api._refusal(status, said, False)
        assert refusal is not None or status == 200
        assert re.fullmatch(r"[ -~]*", refusal or "")


def _settings(words: list[str]) -> Settings:
    return check_settings(words)


def _assert_message(error: ProbeError) -> None:
    assert error.kind in (Kind.CONFIG, Kind.CLOSED)
    assert re.fullmatch(r"[ -~]{1,200}", error.message)
    assert_no_canary(error.message)


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (
        *(conversation, certificates, ini, argv),
        *(sasl, https_reply, name_server, server_hello),
    )
}
