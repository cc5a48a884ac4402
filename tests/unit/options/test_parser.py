"""Reading command lines and INI sections into settings."""

import py_compile
import string
from pathlib import Path

import pytest

from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.model.settings import (
    Family,
    Grant,
    HttpsEndpoint,
    Limits,
    Login,
    RangePair,
    Remaining,
    SecretSource,
    Security,
    Settings,
    State,
    Subject,
    Target,
    Verify,
)
from check_pop3_plus.options import help_text, parser
from check_pop3_plus.options.parser import HelpRequested
from check_pop3_plus.options.table import BY_FLAG, ENTRIES, Entry
from check_pop3_plus.options.validators import UsageError
from tests.support.settings_from import check_settings

HOST = ("-H", "pop.example.test")
TOKEN_URL = ("--oauth-token-url", "https://id.example.test/token")
FETCH = (*TOKEN_URL, "--oauth-client-id", "me", "--oauth-client-secret-file", "s")

SECONDS = "must be a number of seconds, above 0 and at most 3600"
RECHECKS = "must be a whole number from 0 to 100"
NO_PATH = "empty, or not a path"
NO_USER = "empty, or with control characters"
ASCII = "must be visible ASCII and not empty"
STATES = "must be ok, warning, critical or unknown"
SUBJECTS = "must be a list of dns,tcp,tls,dialog,ping,trace"
PORTS = "must be a number from 1 to 65535"
LOGIN = "need a login: use -U/--username"
TOKENS = "needs --auth xoauth2 or --auth oauthbearer"
SOURCES = "--password-file, --password-env, --password-command, --oauth-token-url"
VERIFIED = "use -S or --starttls with --verify full, or --allow-insecure-login"
PHASES = (
    "must be PHASE=RANGE, with a phase of resolve, failed, connect, tls, greeting, capa, stls,"
    " login, stat, top, smtp"
)

PLAIN = string.ascii_letters + string.digits + "_./:=,@%+-"
"""The characters of a command that is shown to be repeated."""


def parsed(*argv: str) -> Settings:
    return check_settings([*HOST, *argv])


def refused(*argv: str) -> str:
    with pytest.raises(ProbeError) as caught:
        check_settings(argv)
    assert caught.value.kind is Kind.CONFIG
    return caught.value.message_with_origin


def test_settings_with_only_a_host_have_the_defaults() -> None:
    """All other options are optional."""
    settings = parsed()

    assert settings.target == Target("pop.example.test", 110)
    assert settings.tls.security is Security.PLAIN
    assert settings.tls.verify is Verify.FULL
    assert settings.tls.minimum == "1.2"
    assert settings.login is None
    assert settings.limits == Limits(10.0, 10.0, rechecks=0)
    assert settings.diagnosis is None
    assert settings.verbosity == 0


@pytest.mark.parametrize(
    ("argv", "security", "port"),
    [
        ((), Security.PLAIN, 110),
        (("-S",), Security.IMPLICIT, 995),
        (("--starttls",), Security.STLS, 110),
        (("-D", "60"), Security.IMPLICIT, 995),
        (("-D", "60", "--starttls"), Security.STLS, 110),
        (("-S", "-p", "1995"), Security.IMPLICIT, 1995),
        (("-p", "65535"), Security.PLAIN, 65535),
    ],
)
def test_port_default_depends_on_tls_mode(
    argv: tuple[str, ...], security: Security, port: int
) -> None:
    """110, or 995 with TLS from the first byte, which -D implies as in check_pop."""
    settings = parsed(*argv)

    assert (settings.tls.security, settings.target.port) == (security, port)


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("192.0.2.1", "192.0.2.1"),
        ("pop.example.test.", "pop.example.test"),
        ("mail_1.example.test", "mail_1.example.test"),
        ("bücher.example", "xn--bcher-kva.example"),
    ],
)
def test_host_valid_is_normalised(given: str, host: str) -> None:
    """Brackets and a final dot are dropped, names become ASCII."""
    assert check_settings(["-H", given]).target.hostname == host


@pytest.mark.parametrize(
    "host",
    ["", ".", "a..b", "-x", "x-", "a b", "a" * 64, "a." * 127 + "a", "a\nb", "a\0b", "[a]", "::1%",
     "é" * 64, "a/b", "ü..x"],
)  # fmt: skip
def test_host_invalid_is_refused(host: str) -> None:
    """Fault 61: refused before any DNS lookup."""
    assert refused("-H", host).startswith("invalid --hostname")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ((), "-H/--hostname is required; see --help"),
        ((*HOST, "-S", "--starttls"), "cannot be combined: use TLS from the first byte, or STLS"),
        ((*HOST, "-4", "-6"), "-4 and -6 cannot be combined"),
        (
            (*HOST, "-S", "--refuse-cleartext-login"),
            "--refuse-cleartext-login tests the plain-text port: use --starttls instead of -S",
        ),
        (
            (*HOST, "-U", "u", "--allow-insecure-login", "--refuse-cleartext-login"),
            "a login without TLS and --refuse-cleartext-login cannot be combined",
        ),
        ((*HOST, "--jobs", "5"), "--jobs needs --sweep on the command line"),
        (
            (*HOST, "-S", "--x509-strict", "--verify", "none"),
            "--x509-strict and --verify none cannot be combined",
        ),
        (
            (*HOST, "-S", "--reject-legacy-tls", "--tls-min", "1.1"),
            "--reject-legacy-tls and --tls-min 1.1 cannot be combined",
        ),
        (
            (*HOST, "-S", "--cert-type", "both", "--tls-min", "1.3"),
            "only TLS 1.2 lets a client choose the type of the certificate",
        ),
        ((*HOST, "-p", "0"), f"invalid --port 0: {PORTS}"),
        ((*HOST, "-p", "65536"), f"invalid --port 65536: {PORTS}"),
        ((*HOST, "-p", "\u0661\u0661\u0660"), f"invalid --port ???: {PORTS}"),
        ((*HOST, "--use-ipv"), "unknown option --use-ipv; did you mean --use-ipv6?"),
        ((*HOST, "--host", "x"), "unknown option --host; use -H or --hostname"),
        (
            (*HOST, "extra"),
            "-H takes one host name; to check several hosts use --sweep",
        ),
        ((*HOST, "-w"), "-w needs a value"),
        ((*HOST, "-w", "--"), "-w needs a value"),
        ((*HOST, "-w--"), "-w needs a value"),
        ((*HOST, "--expect=--"), "--expect needs a value"),
        ((*HOST, "--diagnose=--"), "--diagnose needs a value"),
        (("-6H--",), "-H needs a value"),
        (("-vvH=--",), "-H needs a value"),
        ((*HOST, "-vw"), "-w needs a value"),
        (("-H", "192.0.2.1", "-6"), "192.0.2.1 is not an IPv6 address"),
        (("-H", "::1", "-4"), "::1 is not an IPv4 address"),
        ((*HOST, "--connect-to", "::1", "-4"), "::1 is not an IPv4 address"),
        ((*HOST, "--source-address", "name"), "not a numeric address"),
        (
            (*HOST, "--source-address", "::1", "-4"),
            "not of the address family that -4 or -6 selects",
        ),
        ((*HOST, "--verify", "maybe"), "invalid --verify maybe: must be one of full, chain, none"),
        ((*HOST, "--tls-min", "1.0"), "invalid --tls-min 1.0: must be one of 1.1, 1.2, 1.3"),
        (
            (*HOST, "--auth", "x"),
            "cram-md5, scram-sha-1, scram-sha-256, external, xoauth2, oauthbearer",
        ),
        ((*HOST, "--ca-file", ""), f"invalid --ca-file: {NO_PATH}"),
        (
            (*HOST, "-U", "u", "-S", "--password-file", "a", "--password-env", "b"),
            f"use only one of {SOURCES}",
        ),
        ((*HOST, "--password-file", "a"), "--password-file needs -U/--username"),
        ((*HOST, "--messages-warning", "5"), LOGIN),
        ((*HOST, "--size-critical", "5"), LOGIN),
        ((*HOST, "-S", "-U", "", "--password-file", "a"), f"invalid --username: {NO_USER}"),
        ((*HOST, "-S", "-U", "a\r\nb", "--password-file", "a"), f"invalid --username: {NO_USER}"),
        ((*HOST, "-S", "-U", "a", "--password-file", ""), "--password-command is empty"),
        ((*HOST, "-S", "-U", "a", "--auth", "external"), "needs --client-cert"),
        (
            (*HOST, "-S", "-U", "a", "--auth", "external", "--password-env", "X"),
            "needs no password: the client certificate authenticates",
        ),
        ((*HOST, "-t", "0"), f"invalid --timeout 0: {SECONDS}"),
        ((*HOST, "-t", "nan"), f"invalid --timeout nan: {SECONDS}"),
        ((*HOST, "-t", "99999"), f"invalid --timeout 99999: {SECONDS}"),
        ((*HOST, "-t", "5:sad"), f"invalid --timeout sad: {STATES}"),
        ((*HOST, "--run-timeout", "-1"), f"invalid --run-timeout -1: {SECONDS}"),
        ((*HOST, "--run-timeout", ""), f"invalid --run-timeout (empty): {SECONDS}"),
        (
            (*HOST, "--sensitivity", "5"),
            "invalid --sensitivity 5: must be one of very-high, high, medium, low, very-low",
        ),
        (
            (*HOST, "--rechecks", "-1"),
            f"invalid --rechecks -1: {RECHECKS}",
        ),
        ((*HOST, "--rechecks", "101"), f"invalid --rechecks 101: {RECHECKS}"),
        ((*HOST, "--rechecks", "x"), f"invalid --rechecks x: {RECHECKS}"),
        ((*HOST, "--rechecks", "1", "--sensitivity", "low"), "cannot be combined"),
        (
            (*HOST, "--diagnose=dns,nix"),
            f"invalid --diagnose dns,nix: {SUBJECTS}",
        ),
        ((*HOST, "--diagnose=dns,"), f"invalid --diagnose dns,: {SUBJECTS}"),
        ((*HOST, "--diagnose", "dns"), "its value joined by an equals sign: --diagnose=dns,tcp"),
        (
            (*HOST, "--state", "refused"),
            "invalid --state refused: must be KIND=STATE, as refused=ok",
        ),
        ((*HOST, "--state", "nix=ok"), "unknown kind of failure nix"),
        ((*HOST, "--state", "bug=ok"), "bug is always UNKNOWN"),
        ((*HOST, "--state", "refused=fine"), f"invalid --state fine: {STATES}"),
        ((*HOST, "-r", "fine"), f"invalid --refuse fine: {STATES}"),
        ((*HOST, "--phase-warning", "nix=1"), PHASES),
        ((*HOST, "--phase-warning", "quit=1"), PHASES),
        ((*HOST, "--phase-critical", "tls"), PHASES),
    ],
)
def test_usage_error_names_the_option(argv: tuple[str, ...], message: str) -> None:
    """The message is one line and names the value."""
    assert refused(*argv).endswith(message)


@pytest.mark.parametrize("option", ["-s", "--send", "-q", "-E", "--escape", "-j", "-m", "-d"])
def test_unsupported_option_of_check_pop_is_refused_with_reason(option: str) -> None:
    """With or without a value."""
    assert "of check_pop is not supported: " in refused(*HOST, option)
    if option not in ("-E", "--escape", "-j"):
        assert "of check_pop is not supported: " in refused(*HOST, option, "x")


@pytest.mark.threat("T5")
@pytest.mark.parametrize(
    "argv",
    [
        ("-U", "monitor", "--password-file", "f"),
        ("-U", "monitor", "--password-file", "f", "-S", "--verify", "none"),
        ("-U", "monitor", "--password-file", "f", "-S", "--verify", "chain"),
        ("-U", "monitor", "--password-file", "f", "--starttls", "--verify", "none"),
    ],
)
def test_login_without_verified_tls_is_refused(argv: tuple[str, ...]) -> None:
    """Threat T5: only --allow-insecure-login allows it."""
    unverified = f"with --verify {argv[-1]}" if "--verify" in argv else "without TLS"
    assert refused(*HOST, *argv) == f"no password is sent {unverified}; {VERIFIED}"

    login = parsed(*argv, "--allow-insecure-login").login

    assert login is not None
    assert login.allow_insecure


def test_login_has_a_password_source() -> None:
    """The password itself cannot be an argument."""
    login = parsed("-S", "-U", "monitor", "--password-env", "X").login

    assert login == Login("monitor", SecretSource(env="X"), "auto", False)


def test_grant_uses_client_credentials_or_refresh_token() -> None:
    """A refresh token may replace or accompany the client secret."""
    login = ("-S", "-U", "monitor", "--auth", "xoauth2")
    endpoint = HttpsEndpoint("id.example.test", 443, "/token")

    plain = parsed(*login, *FETCH).login
    full = parsed(
        *(*login, *FETCH, "--oauth-refresh-token-file", "r"),
        *("--oauth-scope", "a b", "--oauth-ca-file", "c"),
    ).login

    assert plain is not None
    assert plain.source == SecretSource(grant=Grant(endpoint, "me", "s"))
    assert full is not None
    assert full.source == SecretSource(grant=Grant(endpoint, "me", "s", "r", "a b", "c"))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--oauth-client-id", "x"), "need --oauth-token-url"),
        (("-U", "u", "-S", "--oauth-scope", "x"), "need --oauth-token-url"),
        (FETCH, TOKENS),
        ((*FETCH, "-U", "u", "-S", "--auth", "plain"), TOKENS),
        ((*FETCH, "-U", "u", "-S"), TOKENS),
        ((*FETCH, "--auth", "xoauth2"), "needs -U/--username"),
        (
            (*FETCH, "-U", "u", "--auth", "xoauth2"),
            f"no password is sent without TLS; {VERIFIED}",
        ),
        (
            (*FETCH, "-U", "u", "-S", "--auth", "xoauth2", "--password-env", "X"),
            f"use only one of {SOURCES}",
        ),
        ((*TOKEN_URL, "--auth", "xoauth2"), "needs --oauth-client-id"),
        (
            (*TOKEN_URL, "--auth", "xoauth2", "--oauth-client-id", "x"),
            "needs --oauth-client-secret-file or --oauth-refresh-token-file",
        ),
        (
            (*FETCH, "--auth", "xoauth2", "--oauth-client-id", ""),
            f"invalid --oauth-client-id: {ASCII}",
        ),
        (
            (*FETCH, "--auth", "xoauth2", "--oauth-client-id", "a\nb"),
            f"invalid --oauth-client-id: {ASCII}",
        ),
        ((*FETCH, "--auth", "xoauth2", "--oauth-scope", "a\tb"), f"invalid --oauth-scope: {ASCII}"),
        ((*FETCH, "--auth", "xoauth2", "--oauth-scope", "ä"), f"invalid --oauth-scope: {ASCII}"),
        (
            (*FETCH, "--oauth-client-secret-file", ""),
            f"invalid --oauth-client-secret-file: {NO_PATH}",
        ),
        (
            (*FETCH, "--oauth-refresh-token-file", ""),
            f"invalid --oauth-refresh-token-file: {NO_PATH}",
        ),
        ((*FETCH, "--oauth-ca-file", ""), f"invalid --oauth-ca-file: {NO_PATH}"),
    ],
)
def test_grant_incomplete_is_refused(argv: tuple[str, ...], message: str) -> None:
    """One clear line, before any file is opened."""
    assert refused(*HOST, *argv).endswith(message)


@pytest.mark.parametrize(
    "spec", ["10", "10:", "~:10", "10:20", "@10:20", "-5:10", "0", "@~:0", "1.5:2.25", ".5", ":10"]
)
@pytest.mark.parametrize("form", ["{0} {1}", "{0}={1}"])
@pytest.mark.parametrize("option", ["-w", "--warning"])
def test_range_valid_is_unchanged(spec: str, form: str, option: str) -> None:
    """Ranges of the plugin guidelines, also those that begin with a dash."""
    argv = form.format(option, spec).split(" ")

    assert parsed(*argv).thresholds.time == RangePair(spec, None)


@pytest.mark.parametrize(
    "spec",
    ["", "@", "20:10", "a", "1:2:3", "nan", "inf", "1e3", "1_000", "\u0661", "10%", "5s", "-", "~",
     "-5", " 5", "5:~", "--5", "@@5", "9999999999999999:1"],
)  # fmt: skip
def test_range_invalid_is_refused(spec: str) -> None:
    """Fault 62."""
    assert refused(*HOST, "-w", spec).startswith("invalid range for --warning")


def test_size_suffix_is_a_power_of_1024() -> None:
    """10M is 10 x 1024 x 1024 bytes."""
    login = ("-S", "-U", "u", "--password-file", "f")
    size = parsed(*login, "--size-warning", "1K:10M", "--size-critical", "1.5g").thresholds.size

    assert size == RangePair("1024:10485760", "1610612736")
    for wrong in ("1.2.3K", "9" * 16 + "K", "9" * 400 + "K", "K", "1KM"):
        assert "invalid range" in refused(*HOST, *login, "--size-warning", wrong)


def test_phase_thresholds_are_pairs_by_phase() -> None:
    """The options are repeatable."""
    phases = parsed(
        "--phase-warning", "tls=1", "--phase-critical=tls=2", "--phase-warning", "greeting=3"
    ).thresholds.phases

    assert phases == {"tls": RangePair("1", "2"), "greeting": RangePair("3", None)}


@pytest.mark.parametrize(
    ("spec", "warning", "critical"),
    [
        ("60", Remaining(60), None),
        ("60d", Remaining(60), None),
        ("12h", Remaining(0.5), None),
        ("33%", Remaining(None, 0.33), None),
        ("30d/33%", Remaining(30, 0.33), None),
        ("33%/30d", Remaining(30, 0.33), None),
        ("30d/33%,7d/10%", Remaining(30, 0.33), Remaining(7, 0.1)),
        ("60,14", Remaining(60), Remaining(14)),
        ("0", Remaining(0), None),
        ("14,14", Remaining(14), Remaining(14)),
    ],
)
def test_certificate_threshold_valid_is_read(
    spec: str, warning: Remaining, critical: Remaining | None
) -> None:
    """Days, hours, a share of the lifetime, or the smaller of two."""
    thresholds = parsed("-D", spec).thresholds

    assert thresholds.certificate_warning == warning
    assert thresholds.certificate_critical == critical


@pytest.mark.parametrize(
    "spec", ["", "x", "10,20", "10%,20%", "30d/33%,40d/10%", "1/2", "1%/2%", "-1", "101%", "5,",
             "5,4,3", "5w", "1/2/3"],
)  # fmt: skip
def test_certificate_threshold_invalid_is_refused(spec: str) -> None:
    """CRIT must not be larger than WARN."""
    assert refused(*HOST, "-D", spec).startswith("invalid --certificate")


def test_state_overrides_its_short_forms() -> None:
    """-r, -M and -t N:STATE are short forms of --state."""
    states = parsed(
        "-r", "warn", "-M", "CRIT", "-t", "5:unknown", "--state", "in-use=critical"
    ).states

    assert states == {
        "refused": State.WARNING,
        "expect": State.CRITICAL,
        "timeout": State.UNKNOWN,
        "in-use": State.CRITICAL,
    }
    assert parsed("-t", "5:unknown", "--state", "timeout=ok").states == {"timeout": State.OK}


@pytest.mark.parametrize(
    ("argv", "limits"),
    [
        ((), Limits(10, 10, 0)),
        (("-t", "5"), Limits(5, 5, 0)),
        (("-t", "5", "--run-timeout", "30"), Limits(5, 30, 0)),
        (("-t", "20", "--run-timeout", "3"), Limits(3, 3, 0)),
        (("--diagnose",), Limits(10, 50, 0)),
        (("--diagnose", "-t", "60"), Limits(60, 60, 0)),
        (("--sensitivity", "very-high"), Limits(10, 50, 0)),
        (("--sensitivity", "high"), Limits(10, 50, 2)),
        (("--sensitivity", "medium"), Limits(10, 50, 5)),
        (("--sensitivity", "low"), Limits(10, 50, 7)),
        (("--sensitivity=very-low",), Limits(10, 50, 10)),
        (("--rechecks", "3", "--run-timeout", "20"), Limits(10, 20, 3)),
        (("--rechecks", "0"), Limits(10, 50, 0)),
    ],
)
def test_run_timeout_default_depends_on_retries_and_diagnosis(
    argv: tuple[str, ...], limits: Limits
) -> None:
    """The default is long only for retries and diagnoses."""
    assert parsed(*argv).limits == limits


@pytest.mark.parametrize(
    ("argv", "diagnosis"),
    [
        (("--diagnose",), set()),
        (("--diagnose=",), set()),
        (("--diagnose", "-S"), set()),
        (("--diagnose=dns,ping",), {Subject.DNS, Subject.PING}),
        (("--diagnose=tls", "--diagnose=tcp,tcp"), {Subject.TCP}),
    ],
)
def test_diagnose_value_is_joined_by_equals_sign(
    argv: tuple[str, ...], diagnosis: set[Subject]
) -> None:
    """Without one the diagnosis chooses; the next argument is another option."""
    assert parsed(*argv).diagnosis == frozenset(diagnosis)


def test_source_address_selects_the_family() -> None:
    """An IPv4 address cannot be the source of an IPv6 connection."""
    assert parsed("--source-address", "127.0.0.1").target.family is Family.IPV4


@pytest.mark.parametrize(
    "argv", [("--version", "-v"), ("-vV",), ("--verbose", "--version"), ("-V", "-vv")]
)
def test_verbose_version_names_missing_bytecode(
    argv: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where Python cannot write it, every run costs more than twice the CPU time."""
    for name in ("a.py", "b.py", "README"):
        (tmp_path / name).touch()
    monkeypatch.setattr(help_text, "package", str(tmp_path / "__init__.py"))
    py_compile.compile(str(tmp_path / "a.py"))

    with pytest.raises(parser.HelpRequested, match=r"missing for 1 of 2 modules, .* -m compileall"):
        parser.read(argv)
    py_compile.compile(str(tmp_path / "b.py"))
    with pytest.raises(parser.HelpRequested, match=r"\nbytecode: complete$"):
        parser.read(argv)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("--certificate", "25%,10%"), "-D 25%,10%"),
        (
            ("-U", "monitor@example.org", "--password-file", "/x"),
            "-U monitor@example.org --password-file /x",
        ),
        (("-U", "a", "--password-env", "NAME"), "-U a --password-env NAME"),
        (("-e", "one", "-e", "two"), "-e one -e two"),
        (("-p", "1", "-p", "2"), "-p 2"),
        (("--diagnose=dns,tcp",), "--diagnose=dns,tcp"),
        (("--pin", f"sha256:{'A' * 43}="), f"--pin sha256:{'A' * 43}="),
    ],
)
def test_command_of_plain_words_repeats_the_check(argv: tuple[str, ...], words: str) -> None:
    """In the order of --help; of a secret it has the file or the variable."""
    secure = ("-S",) if "-e" not in argv and "-p" not in argv else ()

    assert words in parsed(*HOST, *secure, *argv).command
    assert parsed(*HOST, *secure, *argv).command.startswith("check_pop3_plus -H ")


@pytest.mark.parametrize("character", [*sorted(set(map(chr, range(32, 127))) - set(PLAIN)), "\xe4"])
def test_command_with_another_character_is_left_out(character: str) -> None:
    """A shell, a mail client or a web page would change it, or it would need quotes."""
    assert parsed(*HOST, "-e", f"a{character}b").command == ""
    assert parsed(*HOST, "-e", f"a{PLAIN}b").command != ""


def test_command_with_a_password_command_is_left_out_where_it_has_arguments() -> None:
    """It has blanks; the name of a program alone is plain."""
    login = (*HOST, "-S", "-U", "a", "--password-command")

    assert parsed(*login, "/usr/bin/secret --of a").command == ""
    assert parsed(*login, "/usr/bin/secret").command.endswith(" --password-command /usr/bin/secret")


def test_help_and_version_raise_help_requested() -> None:
    """Both are text to print, not an error."""
    with pytest.raises(HelpRequested, match=r"^check_pop3_plus \d+\.\d+\.\d+$"):
        check_settings(["-V"])
    with pytest.raises(HelpRequested, match="usage: check_pop3_plus -H NAME"):
        check_settings(["--help"])


# --- INI files -------------------------------------------------------------------------------


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    file = tmp_path / "plugins.ini"
    file.write_text(
        "# comment\n[check_pop3_plus]\nwarning = 1\nssl=\n\n[pop]\n; comment\nH=x.example.test\n"
        "expect = one\nexpect = two = 2\ncertificate=33%\nstarttls\n"
    )
    return file


def test_section_empty_value_is_a_flag_and_keys_repeat(ini: Path) -> None:
    """A percent sign has no special meaning."""
    settings = check_settings([f"--extra-opts=pop@{ini}"])

    assert settings.target == Target("x.example.test", 110)
    assert settings.expect.texts == ("one", "two = 2")
    assert settings.thresholds.certificate_warning == Remaining(None, 0.33)
    assert settings.tls.security is Security.STLS


def test_extra_opts_are_overridden_by_the_command_line(ini: Path) -> None:
    """Independent of the position of --extra-opts."""
    settings = check_settings([*HOST, "-w", "2", "--extra-opts", f"@{ini}"])

    assert settings.thresholds.time.warning == "2"
    assert settings.tls.security is Security.IMPLICIT


@pytest.mark.parametrize("variable", ["MP_CONFIG_FILE", "NAGIOS_CONFIG_PATH"])
def test_extra_opts_without_file_searches_the_default_file(
    ini: Path, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It searches as monitoring-plugins do: variables first, then fixed places."""
    monkeypatch.delenv("MP_CONFIG_FILE", raising=False)
    monkeypatch.setenv(variable, str(ini if variable == "MP_CONFIG_FILE" else ini.parent))

    assert parsed("--extra-opts").thresholds.time.warning == "1"


@pytest.mark.parametrize(
    ("locator", "message"),
    [
        ("nix@{ini}", "no section [nix] in "),
        ("@{ini}.missing", "No such file"),
        ("@/dev/null", "not a regular file"),
        ("@/", "options file / is not a regular file"),
        ("{ini}", "a file needs an @; use @/"),
        ("x.ini", "--extra-opts x.ini: a file needs an @; use @x.ini"),
    ],
)
def test_extra_opts_unreadable_is_refused(ini: Path, locator: str, message: str) -> None:
    """One clear line."""
    assert message in refused(f"--extra-opts={locator.format(ini=ini)}")


BEHIND = "; a comment needs a line of its own"


@pytest.mark.parametrize(
    ("content", "fault", "line"),
    [
        (b"key=value", "option before the first [section]", 1),
        (b"# x\n\n[a]\n=x", "neither [section] nor key = value", 4),
        (b"nonsense\n[check_pop3_plus]", "neither [section] nor key = value", 1),
        (b"[a", "section header does not end with ]", 1),
        (b"[a]\r\n[b] # x", "section header does not end with ]" + BEHIND, 2),
        (b"[a]\n[ ]", "section header without a name", 2),
        (b"[a]\nport = 1\0", "a NUL byte; save the file as text in UTF-8", 2),
        ("[a]\nport = 1".encode("utf-16"), "a NUL byte; save the file as text in UTF-8", 1),
    ],
)
def test_ini_file_invalid_line_is_named(
    tmp_path: Path, content: bytes, fault: str, line: int
) -> None:
    """The message says what is wrong with it, and has the number of the line."""
    file = tmp_path / "x.ini"
    file.write_bytes(content)

    assert refused(f"--extra-opts=@{file}") == f"{fault} ({file}, line {line})"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("prot = 110", "unknown option --prot; did you mean --port?"),
        ("expect =", "--expect needs a value"),
        ("verify = ful", "invalid --verify ful: must be one of full, chain, none; did you"),
        ("ssl # TLS", "a comment needs a line of its own"),
        ("ssl = # TLS", "a comment needs a line of its own"),
        ("ssl = on", "--ssl takes no value; in an INI file write just ssl, or true or"),
        ("port = 995 # TLS", "in an INI file a comment needs a line of its own"),
        ('port = "995"', "invalid --port: an INI file needs no quotes around a value"),
        ("expect = 'ready'", "invalid --expect: an INI file needs no quotes"),
        ('ca-file = "/etc/x.pem"', "invalid --ca-file: an INI file needs no quotes"),
        ("ca-file = /etc/x.pem # ours", "a comment needs a line of its own"),
        ("port 995", "no equals sign behind port: write port = VALUE"),
        ("--port 995", "no equals sign behind port"),
        ("port: 995", "no equals sign behind port"),
        ("Port = 995", "unknown option --Port; did you mean --port?"),
        ("port = 995 ; TLS", "in an INI file a comment needs a line of its own"),
    ],
)
def test_ini_file_wrong_option_is_named_with_its_line(
    tmp_path: Path, line: str, message: str
) -> None:
    """File, line, and what was probably meant."""
    file = tmp_path / "x.ini"
    file.write_text(f"[check_pop3_plus]\nssl\n{line}\n")

    said = refused(*HOST, f"--extra-opts=@{file}")
    assert message in said
    assert f" ({file}, line 3)" in said


def test_error_names_no_line_of_an_option_that_is_only_a_cure(tmp_path: Path) -> None:
    """The login without TLS is the mistake, not the verification that is set in the file."""
    file = tmp_path / "x.ini"
    file.write_text("[check_pop3_plus]\nverify = full\n")

    said = refused(*HOST, f"--extra-opts=@{file}", "-U", "x", "--password-env", "X")

    assert "--verify full" in said
    assert str(file) not in said


def test_ini_file_wrong_option_leaves_help_working(tmp_path: Path) -> None:
    """The line of the file is named, unless --help follows."""
    file = tmp_path / "x.ini"
    file.write_text("[check_pop3_plus]\nprot = 1\n")

    with pytest.raises(HelpRequested):
        check_settings([f"--extra-opts=@{file}", "--help"])


def test_ini_file_wrong_section_names_the_near_one(tmp_path: Path) -> None:
    """A byte order mark at the beginning is none of its mistakes."""
    file = tmp_path / "x.ini"
    file.write_bytes(b"\xef\xbb\xbf[check_pop3_plus]\nport = 111\n")

    assert check_settings([*HOST, f"--extra-opts=@{file}"]).target.port == 111
    said = refused(*HOST, f"--extra-opts=check_pop3@{file}")
    assert said == f"no section [check_pop3] in {file}; did you mean check_pop3_plus?"
    said = refused(*HOST, f"--extra-opts=CHECK_POP3_PLUS@{file}")
    assert said == f"no section [CHECK_POP3_PLUS] in {file}; did you mean check_pop3_plus?"
    file.write_text("[POP3]\n")
    assert refused(f"--extra-opts=pop3@{file}").endswith("; did you mean POP3?")
    file.write_text("[check_pop3_plus]\n")
    said = refused(*HOST, f"--extra-opts=mail@{file}")
    assert said == f"no section [mail] in {file}; it has [check_pop3_plus]"


def test_ini_file_quotes_inside_a_value_belong_to_it(tmp_path: Path) -> None:
    """A command has quotes of its own, and a greeting may have some."""
    file = tmp_path / "x.ini"
    command = '"/opt/a b/secret"'
    lines = ("ssl", "username = u", 'expect = the "best"', f"password-command = {command}")
    file.write_text("\n".join(("[check_pop3_plus]", *lines)))

    settings = check_settings([*HOST, f"--extra-opts=@{file}"])

    assert settings.expect.texts == ('the "best"',)
    assert settings.login
    assert settings.login.source.command == command


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ("-w", "5", "-c", "2"),
            "--critical 2 is below --warning 5; did you mean --warning 2 --critical 5?",
        ),
        (
            ("-w", "0:5", "-c", "~:2"),
            "; did you mean --warning ~:2 --critical 0:5?",
        ),
        (("-w", "60", "-c", "14"), "meant as days? -D 60,14"),
        (("-w", "8", "-c", "7"), "meant as days? -D 8,7"),
        (("-w", "7.5", "-c", "7"), "did you mean --warning 7 --critical 7.5?"),
        (("-w", "8", "-c", "6"), "did you mean --warning 6 --critical 8?"),
        (("-w", "60", "-c", "14", "-D", "30"), "did you mean --warning 14 --critical 60?"),
        (
            ("-U", "u", "--messages-warning", "9", "--messages-critical", "8"),
            "did you mean --messages-warning 8 --messages-critical 9?",
        ),
        (
            ("-U", "u", "--size-warning", "1M", "--size-critical", "9K"),
            "did you mean --size-warning 9K --size-critical 1M?",
        ),
        (
            ("--phase-warning", "tls=2", "--phase-critical", "tls=1"),
            "did you mean --phase-warning tls=1 --phase-critical tls=2?",
        ),
    ],
)
def test_critical_limit_below_warning_is_refused(argv: tuple[str, ...], message: str) -> None:
    """Both are plain upper limits, so the warning could never be seen."""
    login = ("-U", "u", "--password-env", "P", "--allow-insecure-login")

    assert refused(*HOST, *login, *argv).endswith(message)


@pytest.mark.parametrize(
    "argv",
    [
        ("-w", "5", "-c", "5"),
        ("-w", "5:", "-c", "2:"),
        ("-w", "5", "-c", "1:2"),
        ("-w", "@5", "-c", "2"),
        ("-w", "5"),
        ("-c", "2"),
    ],
)
def test_critical_range_of_another_form_is_accepted(argv: tuple[str, ...]) -> None:
    """Only two plain upper limits can be compared."""
    assert parsed(*argv).notes == ()


@pytest.mark.parametrize(
    ("argv", "note"),
    [
        (("-w", "14", "-c", "30"), "-w 14, -c 30 can never alert: the timeout (-t) is 10 s"),
        (("-w", "60"), "-w 60 can never alert: the timeout (-t) is 10 s"),
        (("-c", "3", "-t", "2"), "-c 3 can never alert: the timeout (-t) is 2 s"),
        (("-w", "5", "-c", "30"), ""),
        (("-w", "10", "-c", "10"), ""),
        (("-w", "1:60", "-t", "0.5"), ""),
        (("-t", "0.5"), ""),
    ],
)
def test_limits_above_the_timeout_are_noted(argv: tuple[str, ...], note: str) -> None:
    """A response that takes as long is a failure anyway."""
    notes = parsed(*argv).notes

    assert len(notes) == bool(note)
    assert not note or notes[0].startswith(note)


@pytest.mark.parametrize(
    ("argv", "without"),
    [
        (("--ca-file", "/a"), "-S or --starttls"),
        (("--ca-path", "/a"), "-S or --starttls"),
        (("--client-cert", "/a"), "-S or --starttls"),
        (("--sni", "a.test"), "-S or --starttls"),
        (("--tls-min", "1.3"), "-S or --starttls"),
        (("--verify", "none"), "-S or --starttls"),
        (("--auth", "plain"), "-U"),
        (("--allow-insecure-login",), "-U"),
        (("--smtp-auth", "plain"), "--round-trip-to"),
        (("--all",), "-e"),
        (("--mismatch", "ok"), "-e"),
    ],
)
def test_option_without_effect_is_noted(
    argv: tuple[str, ...], without: str, tmp_path: Path
) -> None:
    """On the command line it is a mistake; a file may hold what all checks of a site share."""
    file = tmp_path / "site.ini"
    file.write_text(f"[check_pop3_plus]\n{argv[0]} = {' '.join(argv[1:])}\n")

    assert parsed(*argv).notes == (f"{argv[0]} has no effect without {without}",)
    assert parsed(f"--extra-opts=@{file}").notes == ()


@pytest.mark.parametrize(
    "argv",
    [
        ("--ca-file", "/a", "-S"),
        ("--sni", "a.test", "--starttls"),
        ("--tls-min", "1.3", "-D", "30"),
        ("-e", "x", "-A", "-M", "ok"),
    ],
)
def test_option_with_effect_is_not_noted(argv: tuple[str, ...]) -> None:
    """Also where another option implies TLS."""
    assert parsed(*argv).notes == ()


def test_trust_of_smtp_is_not_noted() -> None:
    """SMTP uses the trust of POP3 (round trip)."""
    trip = ("--round-trip-to", "a@b.test", "--round-trip-key-file", "/k", "--smtp-host", "a.test")
    login = ("-U", "x", "--password-env", "P", "--allow-insecure-login")
    argv = (*trip, *login, "--smtp-from", "a@b.test", "--ca-file", "/a", "--verify", "chain")

    assert parsed(*argv, "--smtp-starttls").notes == ()
    assert len(parsed(*argv).notes) == 2


@pytest.mark.parametrize(("file", "is_shown"), [("/etc/pw", True), ("hunter2", False)])
def test_command_to_repeat_has_no_password_file_without_a_path(file: str, is_shown: bool) -> None:
    """It may be the password itself."""
    command = parsed("-S", "-U", "x", "--password-file", file).command

    assert bool(command) is is_shown


def test_extra_opts_in_a_file_is_refused(tmp_path: Path) -> None:
    """Otherwise two files could include each other."""
    file = tmp_path / "x.ini"
    file.write_text("[check_pop3_plus]\nextra-opts=@y")

    assert "extra-opts is only allowed on the command line" in refused(f"--extra-opts=@{file}")


# --- any command line ------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["-vSw=-5:10"], ["-vSw-5:10"], ["-vSw", "-5:10"]])
def test_bundled_flags_are_read_one_by_one(arguments: list[str]) -> None:
    """The last one may have a value."""
    settings = check_settings([*arguments, "-6H=pop.example.org"])

    assert settings.target.hostname == "pop.example.org"
    assert settings.target.family is Family.IPV6
    assert settings.tls.security is Security.IMPLICIT
    assert settings.thresholds.time.warning == "-5:10"
    assert settings.verbosity == 1


@pytest.mark.parametrize("argument", ["--ssl=true", "-S=yes", "--ssl="])
def test_flag_with_value_is_refused_with_ini_spelling(argument: str) -> None:
    """A common mistake in INI files."""
    with pytest.raises(UsageError, match=r"takes no value; in an INI file write just (ssl|S), or"):
        check_settings(["-H", "pop.example.org", argument])


def test_host_with_port_is_refused_with_advice() -> None:
    """A common mistake."""
    with pytest.raises(UsageError, match=r"not a host name or address \(use --port for the port\)"):
        check_settings(["-H", "pop.example.org:995"])


@pytest.mark.parametrize(
    ("argv", "cure"),
    [
        (("--hostnam", "x"), "--hostnam; did you mean --hostname?"),
        ((*HOST, "--verify", "ful"), "must be one of full, chain, none; did you mean full?"),
        (
            (*HOST, "-D", "14,30"),
            "CRIT (30) must not be larger than WARN (14); did you mean 30,14?",
        ),
        ((*HOST, "--sensitivity=VERY-LOW"), "did you mean very-low?"),
    ],
)
def test_usage_error_near_miss_suggests_the_correction(argv: tuple[str, ...], cure: str) -> None:
    """For options, choices and thresholds."""
    assert refused(*argv).endswith(cure)


@pytest.mark.parametrize("before", ["--unknown", "argument", "-"])
def test_help_after_an_unknown_argument_is_shown(before: str) -> None:
    """The user needs it most then."""
    with pytest.raises(HelpRequested):
        check_settings([before, "--help"])


def test_section_key_without_needed_value_is_refused(tmp_path: Path) -> None:
    """The next line is another option."""
    file = tmp_path / "x.ini"
    file.write_text("[check_pop3_plus]\nexpect =\nport = 1\n")

    assert refused(*HOST, f"--extra-opts=@{file}") == f"--expect needs a value ({file}, line 2)"


@pytest.mark.parametrize(
    ("value", "security"),
    [("", Security.IMPLICIT), ("TRUE", Security.IMPLICIT), ("yes", Security.IMPLICIT),
     ("1", Security.IMPLICIT), ("false", Security.PLAIN), ("no", Security.PLAIN),
     ("0", Security.PLAIN)],
)  # fmt: skip
def test_section_flag_takes_true_and_false(tmp_path: Path, value: str, security: Security) -> None:
    """A flag that is false is not given."""
    file = tmp_path / "x.ini"
    file.write_text(f"[check_pop3_plus]\nssl = {value}\n")

    assert check_settings([*HOST, f"--extra-opts=@{file}"]).tls.security is security


NEEDY = [entry for entry in ENTRIES if entry.needs]

VALUES = {"N": "1024", "FILE": "/x", "TEXT": "x", "DAYS": "90", "TYPE": "rsa", "ID": "x"}
VALUES |= {"AGE": "1h", "RANGE": "1", "NAME": "x", "ADDRESS": "x@example.org", "CMD": "x"}
VALUES["sha256:HASH"] = "sha256:" + "a" * 64


@pytest.mark.parametrize("entry", NEEDY, ids=lambda entry: entry.name)
def test_option_without_the_one_that_it_needs_is_refused(entry: Entry) -> None:
    """The row in the table says which one; any of several is enough."""
    argv = ["-H", "x", entry.name, *([VALUES[entry.value]] if entry.value else [])]
    with pytest.raises(UsageError) as caught:
        check_settings(argv)

    assert caught.value.message == f"{entry.name} needs {entry.needs}"
    if entry.needs == "--round-trip-to":  # which needs others itself
        return
    for flag in entry.needs.split(" or "):
        assert check_settings([*argv, flag, *(["/y"] if BY_FLAG[flag].value else [])])


def test_expiry_threshold_is_enough_for_options_that_need_tls() -> None:
    """-D implies -S."""
    assert check_settings(["-H", "x", "-D", "14", "--issuer", "x"]).assertions.issuer == "x"
