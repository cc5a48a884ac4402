"""Settings: the names that stand here for modules that are loaded late."""

from check_pop3_plus.model.settings import LOGIN_METHODS, POP3_METHODS
from check_pop3_plus.sasl.mechanisms import MECHANISMS


def test_login_methods_are_those_of_pop3_and_all_sasl_mechanisms() -> None:
    """A mechanism that is added to one list only is noticed."""
    assert [name.lower() for name in MECHANISMS] == list(LOGIN_METHODS[len(POP3_METHODS) :])
