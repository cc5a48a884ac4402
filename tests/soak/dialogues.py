"""Mutated dialogues, in process."""

from tests.soak import Figure


def run(share: float) -> list[Figure]:
    raise NotImplementedError(share)
