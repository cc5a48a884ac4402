"""Slots limit what runs in parallel: the checks at one address, and the logins of one user."""

from collections.abc import Set

Peer = str | tuple[str, str]
"""An address, or an address and a user."""


class Slots:
    """Counts the slots in use of each peer. Its callers hold a lock."""

    def __init__(self, limit: int) -> None:
        """Give `limit` slots to an address, and one to a user at an address."""
        self._limit = limit
        self._used: dict[Peer, int] = {}

    def take(self, held: set[Peer], wanted: Set[Peer], may_exceed: bool = False) -> Peer | None:
        """Take a slot of each wanted peer, unless it is among those that the caller has `held`.

        Return a peer without a free slot instead, and take none; not where they `may_exceed` it.
        """
        new = wanted - held
        for peer in () if may_exceed else new:
            if self._used.get(peer, 0) >= (self._limit if isinstance(peer, str) else 1):
                return peer
        for peer in new:
            self._used[peer] = self._used.get(peer, 0) + 1
        held |= new
        return None

    def release(self, held: set[Peer]) -> None:
        """Give back the slots of all peers that a caller holds."""
        for peer in held:
            self._used[peer] -= 1
            if not self._used[peer]:
                del self._used[peer]
