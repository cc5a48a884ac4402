"""The long output: what to do, the kind of failure, then the evidence.

Every line begins with a label and a colon, so that untrusted text cannot pass for a status line.
What line 1 has is not repeated.
"""

from collections.abc import Callable, Iterator, Sequence

from check_pop3_plus.messages import certificates, hints
from check_pop3_plus.messages.formats import age, count, date, reason
from check_pop3_plus.model.failures import MEASURED, Failure, Kind, Phase
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.report import Report, Session, first_to_end
from check_pop3_plus.model.sanitised_text import open_ended, sanitise
from check_pop3_plus.model.settings import Security, Settings, Verify

TRANSCRIPT_TAIL = 4
"""Lines of the transcript shown with a failure: the last command, its reply, and what led there."""

CHART_WIDTH = 40
"""Characters of the longest bar."""

_SLOW_SECONDS = 1.0
"""From here on the long output says where the time went."""

_TRUST = {
    Verify.FULL: "chain and name verified",
    Verify.CHAIN: "chain verified, name not",
    Verify.NONE: "not verified",
}


class Evidence(Record):
    """The long output of one attempt.

    If a finding is about the certificate, that is evidence, and the commands before it are not.
    With a diagnosis also the whole chain and transcript, and a chart of the times.
    """

    settings: Settings
    report: Report
    kinds: Sequence[Kind]
    """Of all findings, worst first."""
    line: str
    """Line 1."""
    is_about_certificate: bool
    is_diagnosed: bool
    slow: Phase | None
    """The phase that has exceeded a limit of its own."""
    system_store: Callable[[], str]
    """Returns the paths of the system trust store."""

    @property
    def failures(self) -> list[Failure]:
        sessions = self.report.with_certificates
        ended = (self.report.failure, *(session.failure for session in sessions))
        return [failure for failure in ended if failure]

    # --- what to do ---------------------------------------------------------------------------

    def advice(self, likely: str = "") -> Iterator[hints.Advice]:
        """Yield what to do about each kind of finding, and its name.

        The likely cause of the first one, if it is known, replaces the hint of its kind.
        """
        delivery = self.report.delivery
        submission = delivery.failure if delivery else None
        failures = [*self.failures, *([submission] if submission else [])]
        notes = {each.kind: each.text for session in self.report.sessions for each in session.notes}
        for number, kind in enumerate(dict.fromkeys(self.kinds)):
            failure = next((each for each in failures if each.kind is kind), None)
            phase = failure.phase if failure else None
            special = self._cure(failure) if failure else None
            message = failure.message if failure else notes.get(kind, "")
            where = self.slow if kind is Kind.SLOW else phase
            general = hints.hint(kind, where, self.settings, self.report, message)
            hint = general if special is None else special
            cause = () if number or not likely else (f"likely cause: {likely}",)
            cure = (f"try: {hint}",) if hint and (special or not cause) else ()
            named = hints.explained(kind) + (f", in phase {phase.value}" if phase else "")
            yield hints.Advice(f"kind: {named}", cause + cure)

    def _cure(self, failure: Failure) -> str | None:
        """Return what to try where more is known than the kind of the failure."""
        if hints.wrong_port(failure, self.settings):  # line 1 has it
            return ""
        report = self.report
        handshakes = (*report.sessions, *report.with_certificates)
        chain = next((each.chain for each in handshakes if each.failure == failure), None)
        found = certificates.cure(failure, chain, report.now) if chain else None
        return failure.cure if found is None else found

    # --- the evidence -------------------------------------------------------------------------

    def lines(self) -> Iterator[str]:
        """Yield the facts, how to repeat the check, and where its kind is explained."""
        settings, report = self.settings, self.report
        yield from (f"note: {note}" for note in (*settings.notes, *report.notes))
        session = self._most_telling()
        yield from self._addresses(session)
        if session:
            yield from self._of_session(session)
        yield from self._times()
        yield from self._delivery()
        if settings.verbosity >= 2:
            yield from self._policy()
        if settings.command and self.kinds:
            yield f"repeat: {settings.command}"
        if self.kinds:
            yield f"see: docs/kinds.md#{self.kinds[0].value}"
        if settings.verbosity >= 3:
            for each in report.sessions:
                yield from (f"transcript: {line}" for line in each.transcript)
        elif session and self.failures:
            yield from (f"transcript: {line}" for line in self._transcript(session))

    def _addresses(self, about: Session | None) -> Iterator[str]:
        """Yield the outcome of each address; nothing if the name has only one."""
        report = self.report
        if len({*report.addresses, *(each.address for each in report.sessions)}) < 2:
            return
        for session in report.sessions:
            yield f"address: {session.address} {self._outcome(session)}"
        if about and len(report.evaluated) > 1:
            yield f"about: {about.address}"

    def _outcome(self, session: Session) -> str:
        failure, report = session.failure, self.report
        if failure:
            kind = failure.kind.value
            kind += f", in phase {failure.phase.value}" if failure.phase else ""
            is_known = open_ended(failure.message) in self.line
            return kind if is_known else f"{kind}: {reason(failure)}"
        if report.failure:
            return report.failure.kind.value
        outcome = "OK"
        if session.ended and session.began:
            outcome += f" in {session.ended - session.began:.3f} s"
        leaf = session.chain.leaf
        if leaf and leaf.not_after and len(report.evaluated) > 1:
            outcome += f", certificate until {date(leaf.not_after)}"
        return outcome

    def _most_telling(self) -> Session | None:
        """Return the session that a finding is about.

        Without one a successful session: the one whose certificate expires first.
        """
        good = [session for session in self.report.evaluated if session.failure is None]
        failed = [session for session in self.report.evaluated if session.failure]
        if failed and (self.kinds or not good):
            return failed[0]
        for session in good:
            if {note.kind for note in session.notes} & set(self.kinds):
                return session
        first = first_to_end(good, lambda each: each.chain.leaf)
        return first or next(iter(good[-1:]), None)

    def _of_session(self, session: Session) -> Iterator[str]:
        verbosity, kinds = self.settings.verbosity, set(self.kinds)
        if verbosity or self.is_diagnosed or self.is_about_certificate:
            yield from self._of_tls(session)
        if verbosity in (1, 2) and session.greeting_shown not in self.line:
            yield f"greeting: {session.greeting_shown}"
        if session.capabilities is not None and (
            verbosity in (1, 2) or Kind.NO_CAPABILITY in kinds
        ):
            yield f"capabilities: {', '.join(session.capabilities)[:400]}"
        if session.dates and session.dates.undated:
            of = count(session.dates.read, "message")
            yield f"note: {session.dates.undated} of {of} read without a usable date in the headers"
        if verbosity:
            yield from (f"protocol warning: {oddity}" for oddity in session.protocol_warnings)
        for each in self.report.evaluated:
            whose = f" ({each.address})" if len(self.report.evaluated) > 1 else ""
            for note in each.notes:
                if open_ended(note.text) not in self.line:
                    yield f"note: {note.kind.value}: {note.text}{whose}"
        if any(each.replies_hidden for each in self.report.sessions):
            yield (
                "note: password shorter than 6 characters: of the server replies after the login"
                " only response codes are shown"
            )

    def _of_tls(self, session: Session) -> Iterator[str]:
        tls, chain = self.settings.tls, session.chain
        if session.tls and session.tls.version:
            yield f"tls: {session.tls.version}, {session.tls.cipher}, {_TRUST[tls.verify]}"
        if chain.leaf is None:
            return
        verbosity = self.settings.verbosity
        yield from certificates.description(chain.leaf, self.line)
        if Kind.UNTRUSTED in self.kinds:
            yield f"trust store: {self._trust()}"
        if verbosity or {Kind.PIN, Kind.NOT_DEPLOYED} & set(self.kinds):
            yield from certificates.identity("certificate", chain.leaf)
        for number, facts in enumerate(chain.sent):
            if number and (self.is_diagnosed or verbosity >= 2):
                yield certificates.outline(f"chain {number}", facts)
            if number and verbosity >= 2:
                yield from certificates.identity(f"chain {number}", facts)
        yield from certificates.remarks(chain, self.report.now, session.failure)
        for each in session.of_other_types:
            if each.chain.leaf:
                yield certificates.outline(f"{each.cert_type} certificate", each.chain.leaf)

    def _trust(self) -> str:
        tls = self.settings.tls
        named = tls.ca_file or tls.ca_path
        return sanitise(named or f"the system trust store ({self.system_store()})")

    def _times(self) -> Iterator[str]:
        """Yield the time of each phase: as a chart in a diagnosis, where it was slow."""
        seconds = self.report.seconds()
        is_slow = sum(seconds.values()) >= _SLOW_SECONDS
        if is_slow and self.is_diagnosed:
            yield from chart(self.report)
        elif seconds and (is_slow or self.settings.verbosity or Kind.SLOW in self.kinds):
            laps = [f"{phase.value} {taken:.3f} s" for phase, taken in seconds.items()]
            yield f"time: {', '.join(laps)}"

    def _delivery(self) -> Iterator[str]:
        """Yield the facts of a round trip."""
        report, wanted = self.report, self.settings.round_trip
        probes = next((each.probes for each in report.evaluated if each.probes), None)
        if probes is None or wanted is None:
            return
        yield f"probes: {probes.found} found of {sanitise(wanted.id)}"
        if probes.newest is not None:
            accepted = ""
            if probes.accepted is not None:
                later = probes.accepted - probes.newest
                accepted = f", accepted {later:+.0f} s later by its headers"
            sent = age(max(0, int(report.clock - probes.newest)))
            yield f"probes: newest sent {sent} ago{accepted}"
        if probes.bounces:
            yield f"probes: {count(probes.bounces, 'bounce')} in the mailbox, never deleted"
        if probes.left_out:
            yield f"probes: {count(probes.left_out, 'message')} not looked at, the oldest"
        if report.delivery and report.delivery.note:
            yield f"probes: {report.delivery.note}"

    def _policy(self) -> Iterator[str]:
        tls = self.settings.tls
        if tls.security is not Security.PLAIN:
            verify = f"{tls.verify.value} and strict" if tls.strict else tls.verify.value
            yield f"policy: TLS {tls.minimum} or newer, verify {verify}, trust {self._trust()}"
        grant = self.settings.login.source.grant if self.settings.login else None
        if grant:
            how = "a refresh token" if grant.refresh_token_file else "client credentials"
            trust = sanitise(grant.ca_file or "the system trust store")
            yield f"token: from {grant.endpoint.authority} with {how}, trust {trust}"
        limits = self.settings.limits
        yield f"limits: timeout {limits.timeout:g} s per attempt, {limits.run_timeout:g} s in total"

    def _transcript(self, session: Session) -> list[str]:
        """Return the end of the transcript, or with a diagnosis all of it.

        Without QUIT and its answer, and nothing where a certificate or line 1 says it all.
        """
        shown = [str(line) for line in session.transcript]
        if shown[-1:] == ["C: QUIT"]:
            shown = shown[:-1]
        elif shown[-2:-1] == ["C: QUIT"] and shown[-1].startswith("S: +OK"):
            shown = shown[:-2]
        if self.is_diagnosed:
            return shown
        if self.is_about_certificate:
            return []
        is_known = len(shown) == 1 and shown[0].removeprefix("S: ") in self.line
        return [] if is_known else shown[-TRANSCRIPT_TAIL:]


def chart(report: Report) -> Iterator[str]:
    """Yield a bar for the time of each phase."""
    seconds = report.seconds()
    longest = max(seconds.values(), default=0.0)
    wide = len(f"{longest:.3f}")
    for phase, taken in seconds.items():
        share = taken / longest if longest else 0.0
        bar = "#" * max(1, round(share * CHART_WIDTH))
        yield f"time: {phase.value:<{_WIDEST_PHASE}} {taken:{wide}.3f} s {bar}"


_WIDEST_PHASE = max(len(phase.value) for phase in MEASURED)
