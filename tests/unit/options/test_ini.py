"""INI files, and where the default one is."""

from pathlib import Path

import pytest

from check_pop3_plus.model.failures import ProbeError
from check_pop3_plus.options import ini, validators
from tests.support.settings_from import check_settings

# lib/parse_ini.c of monitoring-plugins.
NAMES = ("monitoring-plugins.ini", "plugins.ini", "nagios-plugins.ini")
PLACES = (
    "/usr/local/etc/monitoring-plugins/monitoring-plugins.ini",
    "/usr/local/etc/monitoring-plugins.ini",
    "/etc/monitoring-plugins/monitoring-plugins.ini",
    "/etc/monitoring-plugins.ini",
    "/etc/nagios/plugins.ini",
    "/usr/local/nagios/etc/plugins.ini",
    "/usr/local/etc/nagios/plugins.ini",
    "/etc/opt/nagios/plugins.ini",
    "/etc/nagios-plugins.ini",
    "/usr/local/etc/nagios-plugins.ini",
    "/etc/opt/nagios-plugins.ini",
)


def test_section_name_is_without_blanks_inside_the_brackets() -> None:
    """As monitoring-plugins read it; a key may be any letter."""
    assert ini.sections_of("[ a b ]\nX = 1\n", "f") == {"a b": [("X", "1")]}


@pytest.mark.parametrize("directories", [None, "", ":/a:", "/a:/b"])
def test_default_file_is_searched_where_monitoring_plugins_do(
    monkeypatch: pytest.MonkeyPatch, directories: str | None
) -> None:
    """An empty element of NAGIOS_CONFIG_PATH would be the root directory: it is left out."""
    asked: list[str] = []
    monkeypatch.delenv("MP_CONFIG_FILE", raising=False)
    monkeypatch.delenv("NAGIOS_CONFIG_PATH", raising=False)
    if directories is not None:
        monkeypatch.setenv("NAGIOS_CONFIG_PATH", directories)
    monkeypatch.setattr("os.path.isfile", lambda path: asked.append(path))

    with pytest.raises(ProbeError) as caught:
        ini.find_default_file()

    named = (each for each in (directories or "").split(":") if each)
    assert asked == [*(f"{each}/{name}" for each in named for name in NAMES), *PLACES]
    assert caught.value.message == (
        f"--extra-opts: no default INI file found (searched {PLACES[0]}, ...); use SECTION@FILE"
    )


def test_options_file_that_starts_a_command_is_not_writable_by_others(tmp_path: Path) -> None:
    """Who can write it can run commands as the user of this check."""
    file = tmp_path / "x.ini"
    file.write_text("[a]\npassword-command = /bin/secret\n")
    file.chmod(0o622)

    with pytest.raises(ProbeError, match="is writable by other users"):
        ini.read_sections(str(file))


def test_host_of_more_than_253_characters_is_refused() -> None:
    """The limit of a name in text form (RFC 1035 section 2.3.4)."""
    longest = ".".join(["a" * 49] * 5) + ".aaa"
    assert len(longest) == 253

    assert validators.host(longest, "-H") == longest
    with pytest.raises(ProbeError, match="longer than 253 characters"):
        validators.host(f"{longest}a", "-H")


def test_cleartext_login_and_its_refusal_are_not_combined() -> None:
    """The login would succeed only where the other test fails."""
    login = ("-U", "u", "--password-env", "X", "--allow-insecure-login")

    with pytest.raises(ProbeError, match="--refuse-cleartext-login cannot be combined"):
        check_settings(("-H", "h", "--refuse-cleartext-login", *login))


def test_zone_is_as_long_as_the_name_of_an_interface() -> None:
    """At most 15 characters: IFNAMSIZ of linux/if.h, without the final NUL."""
    assert validators.is_numeric("fe80::1%" + "e" * 15)
    assert not validators.is_numeric("fe80::1%" + "e" * 16)
