"""Which diagnosis steps fit which failure."""

import pytest

from check_pop3_plus.diagnosis import plan
from check_pop3_plus.diagnosis.plan import FITTING, STEPS, Step
from check_pop3_plus.model.failures import Failure, Kind, Phase
from check_pop3_plus.model.report import Address, Report, Session
from check_pop3_plus.model.sanitised_text import printable
from check_pop3_plus.model.settings import Subject
from tests.pki.certificate_facts import NOW
from tests.support.settings_from import check_settings

DNS_STEPS = [plan.LOOKUPS, plan.NAME_SERVERS, plan.DIG]


def failed_report(
    phase: Phase | None, kind: Kind, *, login_began: bool = False, has_address: bool = True
) -> Report:
    session = Session(Address("192.0.2.1", 110))
    session.login_began = login_began
    failure = Failure(kind, phase, printable("x"))
    if not has_address:
        return Report((), (), None, failure, None, NOW.timestamp())
    session.failure = failure if phase else None
    return Report((session,), (session,), None, None, None, NOW.timestamp())


def planned(argv: str, report: Report, kind: Kind) -> list[Step]:
    settings = check_settings(f"-H pop.example.test {argv}".split())
    return list(plan.steps_for(settings, report, plan.problem_of(report, (kind,))))


@pytest.mark.parametrize(
    ("argv", "phase", "kind", "steps"),
    [
        ("", Phase.CONNECT, Kind.TIMEOUT, FITTING[Phase.CONNECT, None]),
        ("", Phase.CONNECT, Kind.REFUSED, FITTING[Phase.CONNECT, Kind.REFUSED]),
        ("-S", Phase.TLS, Kind.TLS, FITTING[Phase.TLS, None]),
        ("-S", Phase.TLS, Kind.EXPIRED, (plan.VERSIONS,)),
        ("--starttls", Phase.GREETING, Kind.CLOSED, FITTING[Phase.GREETING, None]),
        # The port speaks TLS: the greeting is read inside TLS.
        (
            "-S",
            Phase.GREETING,
            Kind.CLOSED,
            (plan.CONNECTIONS, plan.OTHER_PORTS, plan.GREETING),
        ),
        ("", Phase.STAT, Kind.MAILBOX, ()),
        ("", None, Kind.MESSAGES, ()),
        ("", None, Kind.SLOW, FITTING[None, Kind.SLOW]),
    ],
)
def test_plan_without_topics_fits_phase_and_kind(
    argv: str, phase: Phase | None, kind: Kind, steps: tuple[Step, ...]
) -> None:
    """Without a list of topics, phase and kind of the failure select the steps."""
    assert planned(f"{argv} --diagnose", failed_report(phase, kind), kind) == list(steps)


def test_plan_for_a_numeric_target_has_no_dns_steps() -> None:
    """A numeric target has no name to resolve, even when the topic is listed."""
    settings = check_settings(["-H", "192.0.2.1", "--diagnose=dns,tcp"])
    report = failed_report(Phase.CONNECT, Kind.TIMEOUT)

    steps = plan.steps_for(settings, report, plan.problem_of(report, ()))

    assert steps == (plan.CONNECTIONS, plan.OTHER_PORTS)


@pytest.mark.parametrize("subject", Subject)
def test_plan_with_a_topic_has_its_steps_only(subject: Subject) -> None:
    """A listed topic selects its steps, whatever failed."""
    report = failed_report(Phase.CONNECT, Kind.REFUSED)

    steps = planned(f"-S --sni x --diagnose={subject.value}", report, Kind.REFUSED)

    assert {step.topic for step in steps} == {subject}


def test_plan_without_tls_offers_no_tls_versions() -> None:
    """TLS versions are tested only where the check uses TLS."""
    report = failed_report(Phase.CONNECT, Kind.REFUSED)

    assert planned("--diagnose=tls", report, Kind.REFUSED) == [plan.HANDSHAKE]


@pytest.mark.parametrize("kind", Kind)
def test_plan_after_an_unaccepted_login_opens_no_connection(kind: Kind) -> None:
    """A server that counts failed logins must not see more connections, whatever is listed."""
    report = failed_report(Phase.LOGIN, kind, login_began=True)
    everything = ",".join(subject.value for subject in Subject)

    assert not planned("--diagnose", report, kind)
    assert planned(f"--diagnose={everything}", report, kind) == DNS_STEPS


def test_plan_without_an_address_has_dns_steps_only() -> None:
    """When the name was not resolved there is no address to connect to."""
    report = failed_report(Phase.RESOLVE, Kind.RESOLVER, has_address=False)

    assert planned("--diagnose", report, Kind.RESOLVER) == DNS_STEPS
    assert planned("--diagnose=tcp,ping", report, Kind.RESOLVER) == []


def test_steps_have_unique_names_and_cover_all_topics() -> None:
    """A skipped step is identified by its name; each topic has a step; the order is by topic."""
    topics = list(Subject)

    assert len({step.name for step in STEPS}) == len(STEPS)
    assert {step.topic for step in STEPS} == set(Subject)
    assert [step.topic for step in STEPS] == sorted(
        (step.topic for step in STEPS), key=topics.index
    )
    assert {step for steps in FITTING.values() for step in steps} <= set(STEPS)
