"""INI files, and where the default one is."""

from pathlib import Path

import pytest

from check_pop3_plus.model.failures import ProbeError
from check_pop3_plus.options import ini

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


def test_section_name_is_without_blanks_inside_the_brackets(tmp_path: Path) -> None:
    """As monitoring-plugins read it; a key may be any letter."""
    file = tmp_path / "x.ini"
    file.write_text("[ a b ]\nX = 1\n")

    assert ini.read_sections(str(file)) == {"a b": [("X", "1")]}


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
