"""INI files, and where the default one is."""

from pathlib import Path

import pytest

from check_pop3_plus.model.failures import ProbeError
from check_pop3_plus.options import ini, parser, validators
from tests.support.settings_from import check_settings


def test_section_name_is_without_blanks_inside_the_brackets() -> None:
    """As monitoring-plugins read it."""
    assert list(ini.sections_of("[ a b ]\nx = 1\n", "f")) == ["a b"]


def test_default_file_is_not_searched_in_an_empty_element(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An empty element of NAGIOS_CONFIG_PATH would be the root directory."""
    asked: list[str] = []
    monkeypatch.delenv("MP_CONFIG_FILE", raising=False)
    monkeypatch.setenv("NAGIOS_CONFIG_PATH", f":{tmp_path}:")
    monkeypatch.setattr("os.path.isfile", lambda path: asked.append(path))

    with pytest.raises(ProbeError, match="no default INI file found"):
        ini.find_default_file()

    names = ("monitoring-plugins.ini", "plugins.ini", "nagios-plugins.ini")
    assert asked == [*(f"{tmp_path}/{name}" for name in names), *ini.SEARCH_PATH]


def test_host_of_more_than_253_characters_is_refused() -> None:
    """The limit of a name in text form (RFC 1035 section 2.3.4)."""
    longest = ".".join(["a" * 49] * 5) + ".aaa"
    assert len(longest) == 253

    assert validators.host(longest, "-H") == longest
    with pytest.raises(ProbeError, match="longer than 253 characters"):
        validators.host(f"{longest}a", "-H")


def test_icinga_user_with_a_colon_is_refused() -> None:
    """It would end the name in the header field."""
    argv = ["--sweep", "f", "--submit", "icinga2:https://h", "--icinga-password-file", "p"]

    with pytest.raises(ProbeError, match="must not contain a colon"):
        parser.read([*argv, "--icinga-user", "a:b"])


def test_cleartext_login_and_its_refusal_are_not_combined() -> None:
    """The login would succeed only where the other test fails."""
    login = ("-U", "u", "--password-env", "X", "--allow-insecure-login")

    with pytest.raises(ProbeError, match="--refuse-cleartext-login cannot be combined"):
        check_settings(("-H", "h", "--refuse-cleartext-login", *login))


def test_zone_is_as_long_as_the_name_of_an_interface() -> None:
    """At most 15 characters: IFNAMSIZ of linux/if.h, without the final NUL."""
    assert validators.is_numeric("fe80::1%" + "e" * 15)
    assert not validators.is_numeric("fe80::1%" + "e" * 16)
