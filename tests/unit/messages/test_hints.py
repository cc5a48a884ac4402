"""The table of hints."""

from check_pop3_plus.messages.hints import HINTS, hint
from check_pop3_plus.model.failures import Kind, Phase


def test_hints_have_a_row_for_every_kind() -> None:
    """A new kind needs a decision on its hint."""
    assert set(HINTS) == set(Kind)


def test_hint_of_a_phase_replaces_the_general_hint() -> None:
    """Other phases, and failures without a phase, get the general hint."""
    assert "-S" in hint(Kind.GARBLED, Phase.GREETING)
    assert hint(Kind.GARBLED, Phase.CAPA) == hint(Kind.GARBLED, None) == HINTS[Kind.GARBLED].text


def test_hint_without_advice_is_empty() -> None:
    """A threshold that the user set explains itself."""
    assert hint(Kind.MESSAGES, None) == ""
