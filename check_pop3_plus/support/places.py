"""Limits on what runs in parallel: the checks at one address, and the logins of one user."""

from collections.abc import Set

Place = str | tuple[str, str]
"""An address, or an address and a user."""


class Places:
    """Counts who holds each place. Its callers hold a lock."""

    def __init__(self, limit: int) -> None:
        """Let `limit` hold an address, and one hold a user at an address."""
        self._limit = limit
        self._held: dict[Place, int] = {}

    def take(self, held: set[Place], wanted: Set[Place], may_exceed: bool = False) -> Place | None:
        """Add all wanted places to those that a caller holds.

        Return a place that is full instead, and take none; not where they `may_exceed` the limit.
        """
        new = wanted - held
        for place in () if may_exceed else new:
            if self._held.get(place, 0) >= (self._limit if isinstance(place, str) else 1):
                return place
        for place in new:
            self._held[place] = self._held.get(place, 0) + 1
        held |= new
        return None

    def release(self, held: set[Place]) -> None:
        """Give back all places that a caller holds."""
        for place in held:
            self._held[place] -= 1
            if not self._held[place]:
                del self._held[place]
