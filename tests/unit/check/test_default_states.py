"""The table of default states."""

from check_pop3_plus.check.default_states import POLICIES
from check_pop3_plus.model.failures import LOCAL, Kind
from check_pop3_plus.model.settings import State

THRESHOLDS = {
    *(Kind.SLOW, Kind.EXPIRING, Kind.MESSAGES, Kind.SIZE, Kind.STALE, Kind.UNFETCHED, Kind.DELAYED),
}


def test_policies_have_a_row_for_every_kind() -> None:
    """A new kind needs a decision on its state and on retries."""
    assert set(POLICIES) == set(Kind)


def test_policies_of_thresholds_alone_have_no_state() -> None:
    """A threshold gives the state; every other kind has a default."""
    assert {kind for kind, policy in POLICIES.items() if policy.state is None} == THRESHOLDS


def test_policies_of_local_kinds_are_unknown_and_final() -> None:
    """A local failure is not one of the server."""
    unknown = {kind for kind, policy in POLICIES.items() if policy.state is State.UNKNOWN}

    assert unknown == LOCAL
    assert not any(POLICIES[kind].is_transient for kind in LOCAL)
