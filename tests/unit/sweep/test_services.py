"""The file of a sweep: from its sections to settings."""

from pathlib import Path

import pytest

from check_pop3_plus.model.failures import FromFile, ProbeError
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.settings import Expectation, Security, Settings, Sweep, Thresholds
from check_pop3_plus.options import parser, settings_builder
from check_pop3_plus.options.table import Given
from check_pop3_plus.sweep import services
from check_pop3_plus.sweep.services import Service


def found(tmp_path: Path, text: str, *arguments: str) -> list[Service]:
    path = tmp_path / "sweep.ini"
    path.write_text(text)
    wanted = parser.read(["--sweep", str(path), *arguments])
    assert isinstance(wanted, Sweep)
    return services.read(wanted)


def read(tmp_path: Path, text: str, *arguments: str) -> list[Settings]:
    """Return the settings of all services."""
    read = [
        services.Builder().settings_of(service) for service in found(tmp_path, text, *arguments)
    ]
    return [settings for settings in read if isinstance(settings, Settings)]


def refused(tmp_path: Path, text: str) -> list[str]:
    """Return the error messages of all services."""
    read = [services.Builder().settings_of(service) for service in found(tmp_path, text)]
    return [error.message_with_origin for error in read if isinstance(error, ProbeError)]


TEXT = """
[DEFAULT]
timeout = 9
port = 7
[a!b]
timeout = 3
expect = two
[DEFAULT]
expect = one
"""


def test_service_option_in_default_and_section_is_merged(tmp_path: Path) -> None:
    """The section overrides a single value of DEFAULT and adds to a list, wherever they stand."""
    [settings] = read(tmp_path, TEXT)

    assert settings.limits.timeout == 3
    assert settings.target.port == 7
    assert settings.expect.texts == ("one", "two")


def test_service_flag_off_overrides_default_and_a_line_before(tmp_path: Path) -> None:
    """A file with TLS in DEFAULT has services without."""
    text = (
        "[DEFAULT]\nssl = yes\n[a!b]\nssl = no\n[a!c]\n[a!d]\nssl = no\nssl\n[a!e]\nssl\nssl = 0\n"
    )
    security = [each.tls.security for each in read(tmp_path, text)]

    assert security == [Security.PLAIN, *[Security.IMPLICIT] * 2, Security.PLAIN]
    assert [each.tls.security for each in read(tmp_path, text, "-S")] == [Security.IMPLICIT] * 4


def test_service_option_on_the_command_line_overrides_the_section(tmp_path: Path) -> None:
    """Options of the sweep itself are not among those of its services."""
    arguments = ("-t", "5", "--run-timeout", "99", "--jobs", "3", "-4", "-e", "three")
    [settings] = read(tmp_path, TEXT, *arguments)

    assert (settings.limits.timeout, settings.limits.run_timeout) == (5, 5)
    assert settings.expect.texts == ("one", "two", "three")
    assert settings.target.family.value == "ipv4"


def test_service_without_hostname_uses_the_host_of_its_name(tmp_path: Path) -> None:
    """Most sections need no hostname."""
    text = "[a.example!x]\n[b.example!x]\nhostname = c.example\n"

    hosts = [settings.target.hostname for settings in read(tmp_path, text)]

    assert hosts == ["a.example", "c.example"]


def test_service_values_are_not_interpolated(tmp_path: Path) -> None:
    """A percent sign has no meaning; a key may be repeated."""
    [settings] = read(tmp_path, "[a!b]\ncertificate = 33%\ne = x\ne = %(y)s\n")

    assert settings.expect.texts == ("x", "%(y)s")
    remaining = settings.thresholds.certificate_warning
    assert remaining is not None
    assert remaining.share == 0.33


def test_service_key_with_an_empty_value_does_not_take_the_next_line(tmp_path: Path) -> None:
    """An option that needs a value is refused without one."""
    assert refused(tmp_path, "[a!b]\nexpect =\nport = 1\n") == [
        f"--expect needs a value ({tmp_path}/sweep.ini, line 2)"
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("prot = 1", "unknown option --prot; did you mean --port?"),
        ("extra-opts = x", "extra-opts is only allowed on the command line"),
        ("help", "--help and --version are only allowed on the command line"),
        ("output = json", "--output is only allowed for a single check ({}, line 2)"),
    ],
)
def test_service_with_a_wrong_line_in_default_is_refused(
    tmp_path: Path, line: str, message: str
) -> None:
    """DEFAULT is part of every section; a section that is wrong itself has its own message."""
    first, second = refused(tmp_path, f"[DEFAULT]\n{line}\n[a!b]\n[wrong]\n")

    assert first.startswith(message.format(tmp_path / "sweep.ini"))
    assert second.startswith("section name is not HOST!SERVICE")


def test_service_of_a_host_with_the_name_of_a_common_section_is_checked(tmp_path: Path) -> None:
    """HOST!SERVICE is never meant as DEFAULT."""
    assert [each.name for each in found(tmp_path, "[all!x]\n[global!x]\n")] == ["all!x", "global!x"]


@pytest.mark.parametrize(
    ("data", "mode", "message"),
    [
        (b"", 0o600, "no section [HOST!SERVICE] in {}"),
        (b"[DEFAULT]\nssl\n", 0o600, "no section [HOST!SERVICE] in {}"),
        (b"port = 1\n[a!b]\n", 0o600, "option before the first [section] ({}, line 1)"),
        (b"[DEFAULT]\n= 1\n[a!b]\n", 0o600, "neither [section] nor key = value ({}, line 2)"),
        (b"[DEFAULTS]\n[a!b]\n", 0o600, "section [DEFAULTS]: did you mean [DEFAULT]? ({}, line 1)"),
        (b"[global]\n[a!b]\n", 0o600, "section [global]: did you mean [DEFAULT]? ({}, line 1)"),
        (b"[a!b]\n[glob]\n", 0o600, "section [glob]: did you mean [DEFAULT]? ({}, line 2)"),
        (b"[a!b]\n[comm]\n", 0o600, "section [comm]: did you mean [DEFAULT]? ({}, line 2)"),
        (b"[a!b]\n[al]\n", 0o600, "section [al]: did you mean [DEFAULT]? ({}, line 2)"),
        (b"[a!b]\n[deFault]\n", 0o600, "section [deFault]: did you mean [DEFAULT]? ({}, line 2)"),
        (b"[a!b]\npassword-command = x\n", 0o620, "sweep file {} has a password-command and is "),
        (bytes(services.FILE_LIMIT + 1), 0o600, "sweep file {} is larger than 16 MiB"),
    ],
    ids=range(12),
)
def test_file_that_is_wrong_as_a_whole_is_refused(
    data: bytes, mode: int, message: str, tmp_path: Path
) -> None:
    """One that others can write may not start commands."""
    path = tmp_path / "sweep.ini"
    path.write_bytes(data)
    path.chmod(mode)

    with pytest.raises(ProbeError) as raised:
        services.read(Sweep(str(path)))

    assert raised.value.message_with_origin.startswith(message.format(path))


def test_service_has_a_host_and_a_description(tmp_path: Path) -> None:
    """They are separated by the first exclamation mark; bytes that are no UTF-8 do not matter."""
    path = tmp_path / "sweep.ini"
    path.write_bytes(b"; \xff\n[a.example!b!c]\nexpect = \xff\n[!b]\n[a!]\n[\x1b!b]\n")
    service, *wrong = services.read(Sweep(str(path)))

    assert (service.host, service.description) == ("a.example", "b!c")
    assert isinstance(services.Builder().settings_of(service), Settings)
    assert [each.name for each in wrong] == ["!b", "a!", "?!b"]
    for each in wrong:
        assert each.error
        assert each.error.message == "section name is not HOST!SERVICE (or DEFAULT)"


@pytest.mark.parametrize(
    ("default", "section", "arguments", "address"),
    [
        ("", "", (), "a.example"),
        ("hostname = B.example", "", (), "b.example"),
        ("hostname = b.example", "H = c.example\nH = d.example", (), "d.example"),
        ("connect-to = 192.0.2.1", "hostname = b.example", (), "192.0.2.1"),
        ("", "hostname = b.example", ("--connect-to", "C.example"), "c.example"),
        ("hostname = b.example", "no such key", (), "b.example"),
        ("no such key", "", (), "a.example"),
    ],
)
def test_address_of_a_service_is_known_before_its_check(
    default: str, section: str, arguments: tuple[str, ...], address: str, tmp_path: Path
) -> None:
    """As far as its options are valid: all services of one address have one worker."""
    [service] = found(tmp_path, f"[DEFAULT]\n{default}\n[A.example!x]\n{section}\n", *arguments)

    assert services.address_of(service) == address


def test_options_of_services_are_those_of_all_layers(tmp_path: Path) -> None:
    """Flags of one letter are not among those that are asked for."""
    text = "[DEFAULT]\nssl\n[a!b]\n--diagnose = tcp\n[a!c]\nport = 1\n"

    names = set(services.values_in(found(tmp_path, text, "--all-addresses")))

    assert names == {"--ssl", "--diagnose", "--port", "--all-addresses"}


def test_values_of_an_option_come_from_all_layers(tmp_path: Path) -> None:
    """DEFAULT, sections and the command line may name different password variables."""
    text = "[DEFAULT]\npassword-env = A\n[a!b]\n--password-env = B\n[a!c]\npassword-env = C\n"

    sections = found(tmp_path, text, "--password-env", "D")

    assert services.values_in(sections)["--password-env"] == {"A", "B", "C", "D"}


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("[a!b]\n\nport = x\n", "invalid --port x", 3),
        ("[DEFAULT]\nport = x\n[a!b]\n", "invalid --port x", 2),
        ("[a!b]\nssl\nstarttls\n", "-S and --starttls cannot be combined", 2),
        ("[a!b]\npassword-file = x\n", "--password-file needs -U", 2),
        ("[a!b]\nc = 3\nw = 5\n", "--critical 3 is below --warning 5", 2),
        ("[a!b]\nusername = u\nssl\n", "no password given: use --password-file", 2),
        ("[a!b]\n= 1\n= 2\n", "neither [section] nor key = value", 2),
        ("[a!b]\n[a!b]\n", "section exists already, see line 1", 2),
        ("[a!b]\n[x]\n", "section name is not HOST!SERVICE (or DEFAULT)", 2),
        ("[a !b]\n", "section name has a blank beside the !: no host is called so", 1),
        ("[a! b]\n", "section name has a blank beside the !: no host is called so", 1),
        ("[a!b]\rssl\r", "lines end in CR alone; save the file with line ends of Unix (LF)", 1),
    ],
)
def test_service_with_a_wrong_value_names_file_and_line(
    tmp_path: Path, text: str, message: str, line: int
) -> None:
    """Also where it is found only after all of the section was read."""
    [found] = refused(tmp_path, text)

    assert found.startswith(message)
    assert found.endswith(f" ({tmp_path}/sweep.ini, line {line})")


def test_value_of_the_command_line_has_no_place(tmp_path: Path) -> None:
    """It has replaced that of the section."""
    [service] = found(tmp_path, "[a!b]\nport = 1\n", "--port", "x")
    error = services.Builder().settings_of(service)

    assert isinstance(error, ProbeError)
    assert error.message.startswith("invalid --port x")


def places(value: object) -> list[tuple[str, int]]:
    """Return where the values in settings stand, in order."""
    if isinstance(value, FromFile):
        return [(value.path, value.line)]
    if isinstance(value, (Expectation, Thresholds)):  # no check reports one as wrong
        return []
    parts = list(vars(value).values()) if isinstance(value, Record) else value
    parts = parts if isinstance(parts, (tuple, list)) else []
    return [place for part in parts for place in places(part)]


HOSTS = (
    *("a.example", "B.example", "b.example.", "192.0.2.1", "2001:db8::1", "[2001:db8::1]"),
    *("bücher.example", "under_score.example", "not a host", "300.1.1.1", "-x", "a/b"),
)

TRIP = (
    "ssl\nusername = u\npassword-file = /p\nround-trip-to = u@a.example\nround-trip-key-file = /k\n"
    "smtp-host = a.example\nsmtp-from = u@a.example\n"
)

OPTIONS = {
    "none": "",
    "TLS": "ssl\ncertificate = 30\nca-file = /ca.pem\n",
    "sni": "ssl\nsni = other.example\n",
    "sni of a host": "ssl\nsni = a.example\n",
    "connect-to": "connect-to = 192.0.2.7\n4\n",
    "IPv4": "use-ipv4\n",
    "IPv6": "6\n",
    "quotes": "expect = two words\n",
    "thresholds": "w = 1\nc = 2\nrechecks = 3\nstate = refused=ok\n",
    "round trip": TRIP,
    "round trip with an identifier": TRIP + "round-trip-id = site-a.example\n",
    "addresses": "source-address = 192.0.2.9\nconnect-to = 192.0.2.8\n",
    "invalid": "port = x\n",
    "joined": "Hjoined.example\n",
    "joined to a flag": "4Hjoined.example\n",
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("is_common", [False, True], ids=["", "common"])
@pytest.mark.parametrize("default", ["", "hostname = default.example\n"], ids=["", "default"])
def test_settings_are_the_same_when_built_once_for_many_hosts(
    tmp_path: Path, options: str, is_common: bool, default: str
) -> None:
    """Sections that differ in the host alone share their settings."""
    keys = ("", "hostname = {}\n", "H = {}\n", "--hostname = {}\n")
    sections = (
        f"[{host}!{number}]\n{key.format(host)}{'' if is_common else options}"
        for number, key in enumerate(keys)
        for host in HOSTS
    )
    common = f"[DEFAULT]\n{default}{options if is_common else ''}"
    listed = found(tmp_path, common + "".join(sections))
    builder = services.Builder()

    for service in listed:
        shared, own = builder.settings_of(service), services.Builder().settings_of(service)
        if isinstance(own, ProbeError):
            assert isinstance(shared, ProbeError)
            assert shared.message_with_origin == own.message_with_origin
        else:
            assert isinstance(shared, Settings)
            assert shared == own
            assert places(shared) == places(own)


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the ports of all settings that are built."""
    ports: list[int] = []
    settings = settings_builder.settings

    def counted(given: Given) -> Settings:
        made = settings(given)
        ports.append(made.target.port)
        return made

    monkeypatch.setattr(settings_builder, "settings", counted)
    return ports


def test_settings_are_built_once_for_equal_options(
    tmp_path: Path, built: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not more than some are kept; the name of the host is not one of these options."""
    monkeypatch.setattr(services, "_DISTINCT", 2)
    rows = zip((1, 2, 1, 3, 3, 1), ("H", "-H", "hostname", "-H", "--hostname", "H"), strict=True)
    text = "".join(f"[{n}!x]\n{key} = n{n}\np = {port}\n" for n, (port, key) in enumerate(rows))
    builder = services.Builder()
    made = [builder.settings_of(service) for service in found(tmp_path, text)]

    assert [each.target.port for each in made if isinstance(each, Settings)] == [1, 2, 1, 3, 3, 1]
    assert [each.target.hostname[:1] for each in made if isinstance(each, Settings)] == ["n"] * 6
    assert built == [1, 2, 3, 1]


LOGIN = "username = u\nallow-insecure-login\n"
OAUTH = "auth = xoauth2\noauth-client-id = x\noauth-client-secret-file = /s\nssl\n"


@pytest.mark.parametrize(
    ("default", "line", "is_shared"),
    [
        *(("", line, True) for line in ("p = 1", "-p = 1", "port = 1", "--port = 1", "ssl")),
        ("ssl", "ca-file = /f", False),
        ("ssl", "ca-path = /d", False),
        ("ssl", "sni = x.example", False),
        ("", "connect-to = 192.0.2.1", False),
        ("connect-to = 192.0.2.1", "4", True),
        ("", "4", False),
        (LOGIN, "password-command = /c", False),
        (LOGIN + OAUTH, "oauth-token-url = https://x/", False),
    ],
)
def test_settings_that_a_check_names_with_their_line_are_not_shared(
    default: str, line: str, is_shared: bool, tmp_path: Path, built: list[int]
) -> None:
    """They stand on another line in each section."""
    text = f"[DEFAULT]\n{default}\n[a!x]\n{line}\n[b!x]\n{line}\n"
    builder = services.Builder()
    for service in found(tmp_path, text):
        assert isinstance(builder.settings_of(service), Settings)

    assert len(built) == 2 - is_shared
