"""Single values of options: their limits, and what is wrong with others."""

from collections.abc import Callable

import pytest

from check_pop3_plus.model.failures import FromFile, Kind
from check_pop3_plus.model.settings import HttpsEndpoint, Remaining, State, Subject
from check_pop3_plus.options import validators
from check_pop3_plus.options.validators import UsageError

Check = Callable[[str, str], object]


def pin(value: str, _: str) -> str:
    return validators.pin(value)


VALID: list[tuple[Check, str, object]] = [
    (validators.port, "1", 1),
    (validators.port, "65535", 65535),
    (validators.whole_number, "99999", 99999),
    (validators.rechecks, "100", 100),
    (validators.seconds, "0.5", 0.5),
    (validators.seconds, "3600", 3600),
    (validators.seconds_or_none, "0", 0),
    (validators.days, "999999.999999d", 999999.999999),
    (validators.path, " ", " "),
    (validators.username, "a b", "a b"),
    (validators.identifier, "A" * 100, "A" * 100),
    (validators.host, "a" * 63, "a" * 63),
    (validators.host, "a." * 126 + "a", "a." * 126 + "a"),
    (validators.host, "A_-b.9.", "A_-b.9"),
    (validators.host, "[::1]", "::1"),
    (validators.host, "b\xfccherX.example", "xn--bcherx-3ya.example"),
    (validators.host, "fe80::1%" + "e" * 15, "fe80::1%" + "e" * 15),
    (validators.address, "192.0.2.1", "192.0.2.1"),
    (validators.mail_address, "a" * 64 + "@b.", "a" * 64 + "@b"),
    (validators.mail_address, f"{'a' * 64}@{'b.' * 94}b", f"{'a' * 64}@{'b.' * 94}b"),
    (validators.helo, "[IPv6:::1]", "[IPv6:::1]"),
    (validators.helo, "[192.0.2.1]", "[192.0.2.1]"),
    (validators.helo, "h.", "h"),
    (validators.https_url, "https://h.test/a/b", HttpsEndpoint("h.test", 443, "/a/b")),
    (validators.https_url, "HTTPS://h.test:8443/?a=b&c", HttpsEndpoint("h.test", 8443, "/?a=b&c")),
    (validators.https_url, "https://h.test", HttpsEndpoint("h.test", 443, "/")),
    (validators.https_url, "https://h.test?a=/@b", HttpsEndpoint("h.test", 443, "/?a=/@b")),
    (
        validators.https_url,
        "https://bücher.example/t",
        HttpsEndpoint("xn--bcher-kva.example", 443, "/t"),
    ),
    (validators.https_url, "https://192.0.2.1/t", HttpsEndpoint("192.0.2.1", 443, "/t")),
    (validators.https_url, "https://[2001:db8::1]:444/t", HttpsEndpoint("2001:db8::1", 444, "/t")),
    (validators.state, "Warn", State.WARNING),
    (validators.state, "CRIT", State.CRITICAL),
    (validators.state, "unknown", State.UNKNOWN),
    (validators.subjects, "", frozenset()),
    (validators.subjects, "dns,tls", frozenset({Subject.DNS, Subject.TLS})),
    (validators.subjects, "dns,tcp,tls,dialog,ping,trace", frozenset(Subject)),
    (pin, "sha256:" + "0A" * 32, "0a" * 32),
    (pin, "sha256//" + "0a" * 32, "0a" * 32),
    (pin, "sha256:" + ":".join(["0a"] * 32), "0a" * 32),
    (pin, "sha256:" + "A" * 42 + "8=", "00" * 31 + "0f"),
    (pin, "sha256//" + "+/" * 21 + "8=", "fbffbf" * 10 + "fbff"),
    (validators.capabilities, "uidl,SASL=plain", (("UIDL", None), ("SASL", "PLAIN"))),
    (validators.range_spec, "@-1:9" + "9" * 14, "@-1:9" + "9" * 14),
    (validators.range_spec, "5:5", "5:5"),
    (validators.range_spec, ":0.5", ":0.5"),
    (validators.size_range, "1G", "1073741824"),
    (validators.range_spec, "~:.123456789", "~:.123456789"),
    (validators.size_range, "-1k:.5M", "-1024:524288"),
    (validators.age_range, "10s:1.5m", "10:90"),
    (validators.age_range, "@1h:2d", "@3600:172800"),
    (validators.certificate_limits, "0,0", (Remaining(0), Remaining(0))),
    (validators.certificate_limits, "36h/100%", (Remaining(1.5, 1), None)),
    (validators.certificate_limits, "30,7d/10%", (Remaining(30), Remaining(7, 0.1))),
    (validators.filled, "$x$", "$x$"),
    (validators.visible, "$x$", "$x$"),
]

COMMENT = "; in an INI file a comment needs a line of its own"
PORT = "must be a number from 1 to 65535"
SECONDS = "must be a number of seconds, above 0 and at most 3600"
DAYS = "must be a number of days above 0"
CONTROL = "empty, or with control characters"
IDENTIFIER = "must be 1 to 100 letters, digits or . _ : @ / + -"
TYPOGRAPHIC = "it contains typographic quotes or brackets"
NO_HOST = "not a host name or address"
MAIL = "must be user@domain in ASCII"
TAGS = "must be TAG[=ARGUMENT],..."
PIN = "must be sha256: and 64 hexadecimal digits, or base64"
URL = "must be https://HOST[:PORT]/PATH"
RANGE, SIZE = "must be as 5, 0.5 or 2:5", "must be as 5M, 500K or 1K:2G"
AGE = "must be as 90s, 20m, 12h or 3d"
LIMITS = "must be WARN[,CRIT], each as 60, 60d, 12h, 33% or 30d/33%"
LARGER = "must not be larger than WARN"

INVALID: list[tuple[Check, str, str]] = [
    (validators.port, "1" * 61, f"invalid x {'1' * 57}...: {PORT}"),
    (validators.port, "", f"invalid x (empty): {PORT}"),
    (validators.port, "'", f"invalid x ?: {PORT}"),
    (validators.port, "''", f"invalid x ??: {PORT}; an INI file needs no quotes"),
    (validators.port, "$1", f"invalid x ?1: {PORT} (unresolved macro?)"),
    (validators.port, "1 # x", f"invalid x 1 # x: {PORT}{COMMENT}"),
    (validators.port, ";x", f"invalid x ;x: {PORT}{COMMENT}"),
    (validators.port, "1;x", f"invalid x 1;x: {PORT}"),
    (validators.port, "X1X", f"invalid x X1X: {PORT}"),
    (validators.filled, "", "invalid x: empty"),
    (validators.filled, " ", "invalid x: empty"),
    (validators.path, "a\0b", "invalid x: empty, or not a path"),
    (validators.username, "a\x7f", f"invalid x: {CONTROL}"),
    (validators.username, "a\x1f", f"invalid x: {CONTROL}"),
    (validators.seconds, "3601", f"invalid x 3601: {SECONDS}"),
    (validators.seconds_or_none, "00", f"invalid x 00: {SECONDS}"),
    (validators.days, "0d", f"invalid x 0d: {DAYS}"),
    (validators.days, "1234567", f"invalid x 1234567: {DAYS}"),
    (validators.days, "1.1234567", f"invalid x 1.1234567: {DAYS}"),
    (validators.identifier, "a" * 101, IDENTIFIER),
    (validators.identifier, "a;b", f"invalid x a;b: {IDENTIFIER}"),
    (validators.host, "\u201ch", f"invalid x ?h: {TYPOGRAPHIC}"),
    (validators.host, "h\u201d", TYPOGRAPHIC),
    (validators.host, "\u3010h", TYPOGRAPHIC),
    (validators.host, "h\u3011", TYPOGRAPHIC),
    (validators.host, "\xe9" * 64, "not a valid internationalised host name; write it as xn--..."),
    (validators.host, "[a]", "invalid x: brackets are only for IPv6 addresses"),
    (validators.host, "", "invalid x: empty (an unset variable or macro?)"),
    (validators.host, "a." * 126 + "aa", "invalid x: longer than 253 characters"),
    (validators.host, "u:s3cret@h", "invalid x ...@h: it contains @; write only the host name, the"
     " user name goes to -U"),
    (validators.host, "-a", f"invalid x -a: {NO_HOST}"),
    (validators.host, "a-", NO_HOST),
    (validators.host, "192.0.2.1%lo", NO_HOST),
    (validators.host, "fe80::1%", "not an IPv6 address"),
    (validators.host, "127.1", "an IPv4 address has four numbers from 0 to 255"),
    (validators.address, "h", "invalid x h: not a numeric address"),
    (validators.mail_address, "a", f"invalid x a: {MAIL}"),
    (validators.mail_address, "@b", MAIL),
    (validators.mail_address, "a" * 65 + "@b", MAIL),
    (validators.mail_address, f"{'a' * 64}@{'b.' * 94}bb", MAIL),
    (validators.mail_address, "a@b@c", MAIL),
    (validators.helo, "[h]", "brackets are only for IPv6 addresses"),
    (validators.https_url, "", "invalid x: must begin with https://"),
    (validators.https_url, "http://h.test/", "must begin with https://"),
    (validators.https_url, "h.test/token", "must begin with https://"),
    (validators.https_url, "https:/h.test/", "must begin with https://"),
    (validators.https_url, "https://u:s3cret@h.test/", "must not contain user or password"),
    (validators.https_url, "https://s3cret@h.test", "invalid x: must not contain user or password"),
    (validators.https_url, "https://h.test/#s3cret", "invalid x: must not contain a fragment (#)"),
    (validators.https_url, "https://@h.test", "must not contain user or password"),
    (validators.https_url, "https://", "invalid x: must be https://HOST[:PORT]/PATH"),
    (validators.https_url, "https:///token", URL),
    (validators.https_url, "https://h.test:/", URL),
    (validators.https_url, "https://h.test:x/", URL),
    (validators.https_url, "https://h.test/a b", URL),
    (validators.https_url, "https://h.test/a\r\nX: y", URL),
    (validators.https_url, "https://h.test/\u00e4", URL),
    (validators.https_url, "https://[h.test]/", URL),
    (validators.https_url, "https://2001:db8::1/", URL),
    (validators.https_url, "https://[::g]/", URL),
    (validators.https_url, "https://[1.2.3.4]/", "brackets are only for IPv6 addresses"),
    (validators.https_url, "https://h.test:0/", f"invalid x port 0: {PORT}"),
    (validators.https_url, "https://h.test:65536/", f"invalid x port 65536: {PORT}"),
    (validators.https_url, "https://a..b/", f"invalid x a..b: {NO_HOST}: nothing between two dots"),
    (validators.state, "x", "invalid x x: must be ok, warning, critical or unknown"),
    (validators.subjects, "dns,x", "must be a list of dns,tcp,tls,dialog,ping,trace"),
    (pin, "0a" * 32, PIN),
    (pin, "sha256:" + "0a" * 31, PIN),
    (pin, "sha256:", f"invalid --pin sha256:: {PIN}"),
    (pin, "sha256:" + "A" * 43, PIN),
    (validators.capabilities, "", f"invalid x (empty): {TAGS}"),
    (validators.capabilities, "A=", TAGS),
    (validators.capabilities, "A B", TAGS + "; separate several by commas"),
    (validators.range_spec, "5s", f"invalid range for x: 5s; {RANGE}; did you mean 5?"),
    (validators.range_spec, "@", RANGE),
    (validators.range_spec, "2:1", "invalid range for x: 2:1 (start above end)"),
    (validators.range_spec, ":-1", "invalid range for x: :-1 (start above end)"),
    (validators.size_range, "5MB", SIZE + "; did you mean 5M?"),
    (validators.size_range, "5X", SIZE),
    (validators.size_range, "1.2.3K", f"invalid range for x: 1.2.3K; {SIZE}"),
    (validators.size_range, "2K:1K", "invalid range for x: 2K:1K (start above end)"),
    (validators.age_range, "1w", AGE + "; did you mean 7d?"),
    (validators.certificate_limits, "60,x", f"invalid x 60,x: {LIMITS}"),
    (validators.certificate_limits, "30d/30d", LIMITS),
    (validators.certificate_limits, "101%", "invalid x 101%: must not be more than 100%"),
    (validators.certificate_limits, "14,30", f"invalid x 14,30: CRIT (30) {LARGER} (14); did you"
     " mean 30,14?"),
    (validators.certificate_limits, "5/10%,4/11%", f"CRIT (4/11%) {LARGER} (5/10%); did you mean"
     " 4/11%,5/10%?"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "value", "expected"), VALID)
def test_value_at_its_limit_is_accepted(check: Check, value: str, expected: object) -> None:
    """The limits belong to the range."""
    assert check(value, "x") == expected


@pytest.mark.parametrize(("check", "value", "message"), INVALID)
def test_value_beyond_its_limit_is_refused(check: Check, value: str, message: str) -> None:
    """The message has the value, unless that may hold a secret, and the limits."""
    with pytest.raises(UsageError) as caught:
        check(value, "x")

    shown = caught.value.message
    assert shown.startswith("invalid ")
    assert shown.endswith(message)
    assert "s3cret" not in shown


def test_login_without_password_names_the_options_and_the_line() -> None:
    """The line is that of the user name."""
    error = validators.no_password(FromFile.at("x.ini", 3, "monitor"))

    assert error.kind is Kind.CONFIG
    assert error.message_with_origin == (
        "no password given: use --password-file, --password-env or --password-command"
        " (x.ini, line 3)"
    )


def test_zone_is_as_long_as_the_name_of_an_interface() -> None:
    """At most 15 characters: IFNAMSIZ of linux/if.h, without the final NUL."""
    assert validators.is_numeric("fe80::1%" + "e" * 15)
    assert not validators.is_numeric("fe80::1%" + "e" * 16)


@pytest.mark.parametrize(
    ("spec", "limit"),
    [("5", 5), ("0:1.5", 1.5), (":2", 2), ("~:3", 3), ("1:5", None), ("5:", None), ("@5", None)],
)
def test_upper_limit_is_that_of_a_range_without_another(spec: str, limit: float | None) -> None:
    """All others alert below it, too."""
    assert validators.upper_limit(spec) == limit


def test_url_authority_has_port_unless_443() -> None:
    """The Host field and messages show it this way."""
    assert HttpsEndpoint("a", 443, "/").authority == "a"
    assert HttpsEndpoint("a", 444, "/").authority == "a:444"
    assert HttpsEndpoint("2001:db8::1", 443, "/").authority == "[2001:db8::1]"
