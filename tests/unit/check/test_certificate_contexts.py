"""Certificate contexts, with hand-made chains: no network, no clock."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import Any

import nagiosplugin
import pytest

from check_pop3_plus import RELEASED
from check_pop3_plus.check.contexts import context
from check_pop3_plus.model.failures import Failure, Kind, Phase
from check_pop3_plus.model.report import CertificateFacts, Chain
from check_pop3_plus.model.sanitised_text import Printable
from check_pop3_plus.model.settings import Assertions, Remaining, Settings, Target, Thresholds
from check_pop3_plus.output.plugin_text import perfdata

NOW = dt.datetime(2027, 1, 15, 12, 0, tzinfo=dt.timezone.utc)
DAY = dt.timedelta(days=1)
SECOND = dt.timedelta(seconds=1)

OK, WARNING, CRITICAL, UNKNOWN = (
    nagiosplugin.Ok,
    nagiosplugin.Warn,
    nagiosplugin.Critical,
    nagiosplugin.Unknown,
)


def dates(before: float | None, after: float | None, **others: Any) -> CertificateFacts:
    """Return a certificate by the days from now to its first and its last instant."""
    return CertificateFacts(
        None if before is None else NOW + before * DAY,
        None if after is None else NOW + after * DAY,
        **others,
    )


def thresholds(warning: Remaining | None, critical: Remaining | None = None) -> Settings:
    limits = Thresholds(certificate_warning=warning, certificate_critical=critical)
    return Settings(Target("localhost", 995), thresholds=limits)


SIXTY = thresholds(Remaining(60), Remaining(14))


def attempt(
    now: dt.datetime = NOW, deployed: tuple[CertificateFacts, ...] = ()
) -> nagiosplugin.Resource:
    resource = nagiosplugin.Resource()
    resource.report = SimpleNamespace(clock=now.timestamp(), deployed=deployed)  # type: ignore[attr-defined]
    return resource


def evaluated(
    name: str,
    chain: Chain,
    settings: Settings = SIXTY,
    resource: nagiosplugin.Resource | None = None,
    failure: Failure | None = None,
) -> tuple[object, str | None]:
    """Return the state and the kind of a result."""
    fact = SimpleNamespace(fact=chain, session=SimpleNamespace(failure=failure))
    resource = resource or attempt()
    resource.settings = settings  # type: ignore[attr-defined]
    metric = nagiosplugin.Metric(name, fact, resource=resource)
    result = context(name).evaluate(metric, resource)
    assert result.metric is metric
    return result.state, result.hint


def leaf(certificate: CertificateFacts, *issuers: CertificateFacts) -> Chain:
    return Chain((certificate, *issuers), 0, (certificate, *issuers))


FINE = (OK, None)
UNREADABLE = (WARNING, "certificate-unreadable")


@pytest.mark.parametrize(
    ("remaining", "certificate", "days"),
    [
        (Remaining(60), dates(-30, 60), 60),
        (Remaining(0.5), dates(None, None), 0.5),
        (Remaining(0), dates(-30, 60), 0),
        (Remaining(None, 0.5), dates(-30, 60), 45),
        (Remaining(30, 0.5), dates(-30, 60), 30),
        (Remaining(50, 0.5), dates(-30, 60), 45),
        (Remaining(50, 0.5), dates(None, 60), 50),
        (Remaining(50, 0.5), dates(-30, None), 50),
        (Remaining(None, 0.5), dates(None, 60), None),
        (Remaining(None, 0), dates(-30, 60), 0),
    ],
)
def test_in_days_of_days_and_share_is_the_smaller(
    remaining: Remaining, certificate: CertificateFacts, days: float | None
) -> None:
    """A share refers to the lifetime; of two limits the smaller holds."""
    assert remaining.in_days(certificate.lifetime) == days


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        (-30, 61, FINE),
        (-30, 60, FINE),
        (-30, 59.999, (WARNING, "expiring")),
        (-30, 14, (WARNING, "expiring")),
        (-30, 13.999, (CRITICAL, "expiring")),
        (-30, 0.001, (CRITICAL, "expiring")),
        (-30, 0, (CRITICAL, "expired")),
        (-30, -1, (CRITICAL, "expired")),
        (0.001, 90, (CRITICAL, "not-yet-valid")),
        (0, 90, FINE),
        (None, 90, FINE),
        (None, 13, (CRITICAL, "expiring")),
        (-30, None, (WARNING, "certificate-unreadable")),
    ],
)
def test_certificate_with_fewer_days_than_threshold_alerts(
    before: float | None, after: float | None, verdict: tuple[object, str | None]
) -> None:
    """Exactly as many days as the threshold do not alert."""
    assert evaluated("certificate", leaf(dates(before, after))) == verdict


def test_share_refers_to_the_lifetime_of_the_leaf() -> None:
    """The thresholds of the leaf apply to an issuer, too."""
    third = thresholds(Remaining(None, 1 / 3))

    assert evaluated("certificate", leaf(dates(-61, 29)), third) == (WARNING, "expiring")
    assert evaluated("certificate", leaf(dates(-59, 31)), third) == FINE
    issuer = dates(-3000, 31)
    assert evaluated("chain", leaf(dates(-30, 60), issuer), third) == FINE
    assert evaluated("chain", leaf(dates(-30, 63.1), issuer), third) == (WARNING, "expiring")


def test_single_threshold_is_warning_until_expiry() -> None:
    """`-D 60` is never CRITICAL before the end."""
    only = thresholds(Remaining(60))

    assert evaluated("certificate", leaf(dates(-30, 0.001)), only) == (WARNING, "expiring")


def test_dates_without_threshold_are_not_evaluated() -> None:
    """Without `-D` OpenSSL alone decides on dates."""
    none = thresholds(None)

    assert evaluated("certificate", leaf(dates(-30, -1)), none) == FINE
    assert evaluated("chain", leaf(dates(-30, 60), dates(-30, -1)), none) == FINE


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [
        (Kind.EXPIRED, FINE),
        (Kind.NOT_YET_VALID, FINE),
        (Kind.UNTRUSTED, (CRITICAL, "expired")),
    ],
)
def test_dates_rejected_by_openssl_are_not_reported_twice(
    kind: Kind, verdict: tuple[object, str | None]
) -> None:
    """A rejection for another reason does not mention the dates."""
    failure = Failure(kind, Phase.TLS, Printable(""))

    assert evaluated("certificate", leaf(dates(-30, -1)), failure=failure) == verdict


def test_dates_with_implausible_clock_are_not_evaluated() -> None:
    """The implausible clock is reported once."""
    released = dt.datetime.fromisoformat(RELEASED).replace(tzinfo=dt.timezone.utc)
    chain = leaf(dates(-3000, -1), dates(-3000, -1))

    before, on_the_day = attempt(released - SECOND), attempt(released)
    assert evaluated("certificate", chain, resource=before) == (UNKNOWN, "config")
    assert evaluated("chain", chain, resource=before) == FINE
    assert evaluated("certificate", chain, resource=on_the_day) != (UNKNOWN, "config")


def test_certificate_missing_is_unreadable() -> None:
    """An unreadable certificate is reported once, as a warning."""
    assert evaluated("certificate", Chain()) == (WARNING, "certificate-unreadable")
    assert evaluated("chain", Chain()) == FINE


def test_chain_is_evaluated_by_the_issuer_that_expires_first() -> None:
    """Only issuers in the verified chain count, the root included."""
    own, soon, root = dates(-30, 90), dates(-30, 20), dates(-30, 10, is_self_issued=True)

    assert evaluated("chain", leaf(own, soon)) == (WARNING, "expiring")
    assert evaluated("chain", leaf(own, soon, root)) == (CRITICAL, "expiring")
    assert evaluated("chain", leaf(own, dates(-30, None))) == FINE
    assert evaluated("chain", Chain((own, soon), 0, (own,))) == FINE
    assert evaluated("chain", Chain((), 0, (own, soon))) == FINE


def figures(name: str, chain: Chain, settings: Settings = SIXTY) -> str | None:
    resource = attempt()
    resource.settings = settings  # type: ignore[attr-defined]
    metric = nagiosplugin.Metric(name, SimpleNamespace(fact=chain), resource=resource)
    assert context(name).evaluate(metric, resource).state == OK
    found = context(name).figure(metric, resource)
    return None if found is None else perfdata(found)


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        (SIXTY, "cert_days=12.99;60:;14:"),
        (thresholds(Remaining(60.25)), "cert_days=12.99;60.25:"),
        (thresholds(Remaining(100)), "cert_days=12.99;100:"),
        (thresholds(Remaining(0.5)), "cert_days=12.99;0.5:"),
        (thresholds(None), "cert_days=12.99"),
        (thresholds(Remaining(None, 1 / 3)), "cert_days=12.99;14.33:"),
    ],
)
def test_cert_days_is_rounded_down_and_has_thresholds(settings: Settings, shown: str) -> None:
    """The thresholds are in days."""
    assert figures("cert_days", leaf(dates(-30, 12.999)), settings) == shown


def test_chain_days_is_the_intermediate_that_expires_first() -> None:
    """The administrator of the server cannot renew the root."""
    own, first, root = dates(-30, 90), dates(-30, 40.5), dates(-30, 5, is_self_issued=True)

    assert figures("chain_days", leaf(own, dates(-1, 50), first, root)) == (
        "chain_days=40.50;60:;14:"
    )
    assert figures("chain_days", leaf(own, root)) is None
    assert figures("cert_days", Chain()) is None
    assert figures("cert_days", leaf(dates(-30, None))) is None
    assert figures("chain_days", Chain((), 0, (own, first))) is None


def asserting(**wanted: Any) -> Settings:
    return Settings(Target("localhost", 995), assertions=Assertions(**wanted))


def test_issuer_assertion_finds_part_of_a_name() -> None:
    """The text is found in any letter case, in any certificate of the chain."""
    chain = leaf(
        dates(-1, 1, issuer_names=("CN=Sub",)), dates(-1, 1, issuer_names=("O=R\xd6\xdf",))
    )

    assert evaluated("issuer", chain, asserting(issuer="sub")) == FINE
    assert evaluated("issuer", chain, asserting(issuer="R\xf6ss")) == FINE
    assert evaluated("issuer", chain, asserting(issuer="other")) == (CRITICAL, "issuer")
    assert evaluated("issuer", chain, asserting()) == FINE
    assert evaluated("issuer", leaf(dates(-1, 1)), asserting(issuer="")) == UNREADABLE
    # One name that matches is enough.
    one = leaf(dates(-1, 1, issuer=None), dates(-1, 1, issuer_names=("CN=Sub",)))
    assert evaluated("issuer", one, asserting(issuer="sub")) == FINE
    assert evaluated("issuer", one, asserting(issuer="other")) == UNREADABLE


@pytest.mark.parametrize(
    ("bits", "wanted", "verdict"),
    [
        (2048, 2048, FINE),
        (3072, 2048, FINE),
        (2047, 2048, (CRITICAL, "weak")),
        (None, 2048, (CRITICAL, "weak")),
        (None, 1, (CRITICAL, "weak")),
        (None, None, FINE),
    ],
)
def test_key_assertion_requires_at_least_as_many_bits(
    bits: int | None, wanted: int | None, verdict: tuple[object, str | None]
) -> None:
    """A key that cannot be compared does not pass."""
    chain = leaf(dates(-1, 1, key=Printable("x"), key_bits=bits))

    assert evaluated("min_key_bits", chain, asserting(min_key_bits=wanted)) == verdict


def test_key_assertion_about_an_unreadable_key_is_unreadable() -> None:
    """It is not known to be short."""
    assert evaluated("min_key_bits", leaf(dates(-1, 1)), asserting(min_key_bits=2048)) == UNREADABLE


@pytest.mark.parametrize(
    ("before", "after", "longest", "verdict"),
    [
        (-30, 60, 90, FINE),
        (-30, 60.001, 90, (CRITICAL, "long-lived")),
        (None, 60, 1, UNREADABLE),
        (-30, None, 1, UNREADABLE),
        (-30, 60, None, FINE),
    ],
)
def test_validity_assertion_limits_the_lifetime(
    before: float | None,
    after: float | None,
    longest: float | None,
    verdict: tuple[object, str | None],
) -> None:
    """A lifetime that cannot be computed is reported as unreadable."""
    chain = leaf(dates(before, after))

    assert evaluated("max_validity", chain, asserting(max_validity=longest)) == verdict


def test_deployed_assertion_accepts_any_certificate_of_the_file() -> None:
    """The fingerprint decides."""
    served = leaf(dates(-1, 1, fingerprint=Printable("a")))
    wanted = asserting(deployed_file="x.pem")
    others = tuple(dates(-1, 1, fingerprint=Printable(each)) for each in "ba")

    assert evaluated("deployed_file", served, wanted, attempt(deployed=others)) == FINE
    assert evaluated("deployed_file", served, wanted, attempt(deployed=others[:1])) == (
        CRITICAL,
        "not-deployed",
    )
