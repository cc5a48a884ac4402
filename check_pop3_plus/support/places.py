"""Limits on what runs in parallel: the checks at one address, and the logins of one user."""

from collections import Counter
from collections.abc import Set

Place = str | tuple[str, str]
"""An address, or an address and a user."""


class Places:
    """Counts who holds each place. Its callers hold a lock."""

    def __init__(self, limit: int) -> None:
        """Let `limit` hold an address, and one hold a user at an address."""
        self._limit = limit
        self._held: Counter[Place] = Counter()

    def take(self, held: set[Place], wanted: Set[Place], may_exceed: bool = False) -> Place | None:
        """Add all wanted places to those that a caller holds.

        Return a place that is full instead, and take none; not where they `may_exceed` the limit.
        """
        new = wanted - held
        for place in () if may_exceed else new:
            if self._held[place] >= (self._limit if isinstance(place, str) else 1):
                return place
        self._held.update(new)
        held |= new
        return None

    def release(self, held: set[Place]) -> None:
        """Give back all places that a caller holds."""
        self._held.subtract(held)
        for place in held:
            if not self._held[place]:
                del self._held[place]
