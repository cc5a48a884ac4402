"""Mistaken command lines: the message names the mistake and the cure."""

import pytest

from check_pop3_plus.model.failures import Kind, ProbeError
from tests.support.settings_from import check_settings

HOST = ("-H", "pop.example.test")
LOGIN = (*HOST, "-U", "u", "--allow-insecure-login")
LONG_DASH, MINUS = "\u2013", "\u2212"

NO_PASSWORD = (
    "no option takes a password, because the process list shows it; use --password-file,"
    " --password-env or --password-command"
)
UNVERIFIED = "use --verify none, or better --ca-file"
OR_EXPIRY = "for a client certificate, -D for the expiry of the server certificate"

MISTAKES = [
    ((*HOST, "--json"), "use --output json"),
    ((*HOST, "--perfdata"), "unknown option --perfdata; see --help"),
    ((*HOST, "--quiet"), "unknown option --quiet; see --help"),
    ((*HOST, "--tls-min", "1.0"), "must be one of 1.1, 1.2, 1.3"),
    ((*HOST, "--tls-min", "TLSv1.2"), "did you mean 1.2?"),
    ((*HOST, "--state", "ok=refused"), "unknown kind of failure ok; did you mean refused=ok?"),
    ((*HOST, "--verify", "Off"), "must be one of full, chain, none; did you mean none?"),
    ((*HOST, "--verify", "true"), "must be one of full, chain, none; did you mean full?"),
    ((*HOST, "--usage"), "unknown option --usage; use --help"),
    ((*HOST, "-e", ""), "invalid --expect: empty (an unset variable or macro?)"),
    ((*HOST, "-w", "5 -c 10"), "must be as 5, 0.5 or 2:5; another option in the same argument?"),
    ((*HOST, "-p", "110 --ssl"), "from 1 to 65535; another option in the same argument?"),
    ((*HOST, "-D", "30 Days"), "33% or 30d/33%; did you mean 30d?"),
    ((*HOST, "-D", "2w,1week"), "; did you mean 14d,7d?"),
    ((*HOST, "-D", "1 month, 12hours"), "; did you mean 30d,12h?"),
    ((*HOST, "-D", "1y"), "; did you mean 365d?"),
    ((*HOST, "-D", "30Tage"), "; did you mean 30d?"),
    ((*HOST, "-D", "-30,"), "; did you mean 30?"),
    ((*HOST, "-D", "soon"), "33% or 30d/33%"),
    ((*HOST, "--state", "timout=ok"), "unknown kind of failure timout; did you mean timeout?"),
    (
        (*HOST, "-w", "2s"),
        "invalid range for --warning: 2s; must be as 5, 0.5 or 2:5; did you mean 2?",
    ),
    (
        (*HOST, "-U", "u", "--allow-insecure-login", "--size-warning", "5MB"),
        "invalid range for --size-warning: 5MB; must be as 5M, 500K or 1K:2G; did you mean 5M?",
    ),
    (
        (*HOST, "-U", "u", "--allow-insecure-login", "--oldest-warning", "1week"),
        "--oldest-warning: 1week; must be as 90s, 20m, 12h or 3d; did you mean 7d?",
    ),
    ((*HOST, "-S", "-D", "30-14"), "; did you mean 30,14?"),
    ((*LOGIN, "--size-warning", "10 MiB"), "1K:2G; did you mean 10M?"),
    ((*LOGIN, "--oldest-warning", "2 days"), "12h or 3d; did you mean 2d?"),
    ((*LOGIN, "--oldest-warning", "2 fortnights"), "must be as 90s, 20m, 12h or 3d"),
    ((*HOST, "-p", "pop3"), "invalid --port pop3: must be a number; did you mean 110?"),
    ((*HOST, "-p", "POP3S"), "invalid --port POP3S: must be a number; did you mean 995?"),
    (
        (*HOST, "-p", "hunter2"),
        "(not shown, might be a password): must be a number from 1 to 65535",
    ),
    ((*HOST, "-p", "1234567"), "invalid --port 1234567: must be a number from 1 to 65535"),
    (("-H", "-S"), "-H needs a value, but the option -S follows"),
    ((*HOST, "-D", "--ssl"), "-D needs a value, but the option --ssl follows"),
    ((*HOST, "-w", "-4"), "invalid range for --warning: -4 (start above end)"),
    ((*HOST, "\u201cx\u201d"), "an argument begins with a typographic quote; type plain ones"),
    (("-H", "{{ host }}"), "not a host name (unresolved macro?)"),
    (("-H", "%(host)s"), "not a host name (unresolved macro?)"),
    (("-H", "127.0.0.1\u200b"), "it contains an invisible character (U+200B)"),
    (("-H", "pop.example\u00a0.test"), "it contains an invisible character (U+00A0)"),
    (("-H", "%HOST%"), "not a host name (unresolved macro?)"),
    ((*HOST, "--state", "config=ok"), "invalid --state: config is always UNKNOWN"),
    ((*HOST, "--require-capa", "UIDL TOP"), "TAG[=ARGUMENT],...; separate several by commas"),
    ((*HOST, "--format", "json"), "unknown option --format; use --output"),
    ((*HOST, "-o", "json"), "unknown option -o; use --output"),
    ((*HOST, "-S", "-U", "$USER1$"), "invalid --username: contains an unresolved macro"),
    ((*HOST, "-S", "--ca-file", "$x.y$/ca"), "invalid --ca-file: contains an unresolved macro"),
    ((*HOST, "-p", "$port$"), "must be a number from 1 to 65535 (unresolved macro?)"),
    ((*HOST, ""), "empty argument after -H (an unset variable or macro?)"),
    (("",), "empty argument at the beginning (an unset variable or macro?)"),
    ((*HOST, "-S -D 30"), "options and values need an argument each, not one in quotes together"),
    (("-H", "\u201cpop.example\u201d"), "it contains typographic quotes or brackets"),
    (("-H", "pop.example.."), "nothing between two dots"),
    ((*HOST, "--starttsl"), "unknown option --starttsl; did you mean --starttls?"),
    ((*HOST, "--passwordfile", "f"), "did you mean --password-file?"),
    ((*HOST, "--password_file", "f"), "did you mean --password-file?"),
    ((*HOST, "--tls_min=1.2"), "unknown option --tls_min; did you mean --tls-min?"),
    ((*HOST, "--TLS-MIN=1.2"), "did you mean --tls-min?"),
    ((*HOST, "--warn", "5"), "did you mean --warning?"),
    ((*HOST, "--crit", "5"), "did you mean --critical?"),
    ((*HOST, "--ipv4"), "did you mean --use-ipv4?"),
    ((*HOST, "--time-out", "5"), "did you mean --timeout?"),
    ((*HOST, "--connectto=x"), "did you mean --connect-to?"),
    ((*HOST, "-starttls"), "unknown option -starttls; did you mean --starttls?"),
    ((*HOST, "-verify", "none"), "unknown option -verify; did you mean --verify?"),
    ((*HOST, "-port=995"), "did you mean --port?"),
    (("-hostname", "x"), "did you mean --hostname?"),
    ((*HOST, "--password", "s3cret"), NO_PASSWORD),
    ((*HOST, "--password=s3cret"), NO_PASSWORD),
    ((*HOST, "--token", "s3cret"), NO_PASSWORD),
    ((*HOST, "-P", "s3cret"), NO_PASSWORD),
    ((*HOST, "-Ps3cret"), f"unknown option -P; {NO_PASSWORD}"),
    ((*HOST, "-a", "s3cret"), NO_PASSWORD),
    ((*HOST, "--insecure"), UNVERIFIED),
    ((*HOST, "-k"), UNVERIFIED),
    ((*HOST, "--no-check-certificate"), UNVERIFIED),
    ((*HOST, "--tls"), "use -S (TLS from the first byte, port 995) or --starttls (port 110)"),
    ((*HOST, "--pop3s"), "use -S (TLS from the first byte, port 995) or --starttls (port 110)"),
    ((*HOST, "--stls"), "use --starttls"),
    ((*HOST, "--start-tls"), "use --starttls"),
    ((*HOST, "-u", "x"), "use -U or --username"),
    ((*HOST, "--account", "x"), "use -U or --username"),
    ((*HOST, "--user", "x"), "use -U or --username"),
    ((*HOST, "--login=x"), "use -U or --username"),
    (("--host", "x"), "use -H or --hostname"),
    (("-I", "192.0.2.1"), "use -H or --hostname"),
    (("--ip", "192.0.2.1"), "use -H or --hostname"),
    ((*HOST, "--retries", "3"), "use --rechecks or --sensitivity"),
    ((*HOST, "--attempts", "3"), "use --rechecks or --sensitivity"),
    ((*HOST, "--debug"), "use -vvv, or --diagnose for the cause of a failure"),
    ((*HOST, "--config", "f"), "use --extra-opts=@FILE"),
    ((*HOST, "--file", "f"), "use --extra-opts=@FILE"),
    ((*HOST, "--cert", "f"), f"use --client-cert {OR_EXPIRY}"),
    ((*HOST, "--key", "f"), "use --client-key"),
    ((*HOST, "-C", "30"), "use -D or --certificate: -D 30,14"),
    ((*HOST, "--cafile", "f"), "use --ca-file"),
    ((*HOST, "--ca-cert", "f"), "use --ca-file"),
    ((*HOST, "--capath", "d"), "use --ca-path"),
    ((*HOST, "--prometheus"), "use --output prometheus"),
    ((*HOST, "--string", "x"), "use -e or --expect"),
    ((*HOST, "--"), "argument -- is not an option; see --help"),
    ((*HOST, "--zzzzzz"), "unknown option --zzzzzz; see --help"),
    ((*HOST, "--" + "z" * 60), f"unknown option --{'z' * 55}...; see --help"),
    ((*HOST, "-X"), "unknown option -X; see --help"),
    ((*HOST, "-all"), "unknown option -all; did you mean --all?"),
    ((*HOST, "-quit"), "unknown option -quit; did you mean --quit?"),
    (("X", *HOST), "at the beginning (not shown, might be a password); see --help"),
    (("pop.example.test",), "a host name needs -H: -H NAME"),
    (
        (*HOST, "-D", "30", "14"),
        "-D takes one value, WARN,CRIT with a comma and no blank: -D 30,14",
    ),
    ((*HOST, "-w", "5", "10"), "-w takes one range; the critical one is -c"),
    ((*HOST, "-c", "5", "10"), "-c takes one range; the other one is -w"),
    ((*HOST, "--diagnose", "dns"), "joined by an equals sign: --diagnose=dns,tcp"),
    ((*HOST, "-e", "two", "words"), "-e takes one value; put one with blanks in quotes"),
    ((*HOST, "-S", "yes"), "-S takes no value"),
    ((*HOST, "-v", "3"), "-v takes no value"),
    ((*HOST, "second"), "-H takes one host name; to check several hosts use --sweep"),
    ((f"{LONG_DASH}H", "x"), "a typographic dash (U+2013, en dash); did you mean -H?"),
    ((*HOST, f"{LONG_DASH}ssl"), "a typographic dash (U+2013, en dash); did you mean --ssl?"),
    ((*HOST, f"{MINUS}S"), "a typographic dash (U+2212, minus sign); did you mean -S?"),
    ((*HOST, f"{MINUS}-port=1"), "a typographic dash (U+2212, minus sign); did you mean --port?"),
    ((*HOST, f"{LONG_DASH}s3cret"), "type it as a hyphen"),
    (("-H", "pop3s://h.example"), "it is a URL; write only the host name; for pop3s add -S"),
    (("-H", "POPS://h.example"), "it is a URL; write only the host name; for pop3s add -S"),
    (("-H", "http://h.example/"), "it is a URL; write only the host name"),
    (("-H", "h.example:995"), "(use --port for the port): -p 995"),
    (("-H", "[::1]:995"), "(use --port for the port): -p 995"),
    (("-H", "h.example "), "it begins or ends with a blank"),
    (("-H", "a b"), "it contains a blank or comma; give one host name"),
    (("-H", "a,b"), "it contains a blank or comma; give one host name"),
    (("-H", "monitor:s3cret@h"), "the user name goes to -U"),
    (("-H", "h/inbox"), "it contains a slash; write only the host name"),
    (("-H", "'h'"), "it contains quotes; an INI file needs no quotes"),
    (("-H", 'h"'), "it contains quotes"),
    (("-H", "h:x:995"), "not an IPv6 address"),
    (("-H", "*.example"), "a wildcard cannot be connected to"),
    (("-H", "192.0.2.256"), "an IPv4 address has four numbers from 0 to 255"),
    (("-H", "192.0.2"), "an IPv4 address has four numbers from 0 to 255"),
    *(
        (
            ("-H", short),
            f"{short}: not a host name or address: an IPv4 address has four numbers from 0 to 255",
        )
        for short in ("0", "2130706433", "0x7f.1", "127.0.0.1.", "192.0.2.0xA")
    ),
    (("-H", "[::1"), "a bracket is missing"),
    (("-H", "::1]"), "a bracket is missing"),
    (("-H", ".."), "nothing between two dots"),
    ((*HOST, "--ssl-version", "x"), "use --tls-min"),
    (("-H", "2001:db8::g"), "not an IPv6 address"),
    (("-H", "a..b"), "nothing between two dots"),
    (("-H", ".a"), "nothing between two dots"),
    (("-H", "a" * 63 + ".-b"), "not a host name or address"),
    (("-H", "a" * 64 + ".test"), "more than 63 characters between two dots"),
    (("-H", "$HOSTADDRESS$"), "it contains a dollar sign (unresolved macro?)"),
    (("-H", ""), "empty (an unset variable or macro?)"),
    ((*HOST, "-t", "10s"), "at most 3600; did you mean 10?"),
    ((*HOST, "-t", "5sec"), "at most 3600; did you mean 5?"),
    ((*HOST, "-w", "1h"), "must be as 5, 0.5 or 2:5; did you mean 3600?"),
    ((*HOST, "-w", "2 min"), "must be as 5, 0.5 or 2:5; did you mean 120?"),
    ((*HOST, "-w", "3m"), "must be as 5, 0.5 or 2:5; did you mean 180?"),
    (
        (*HOST, "-w", "5,10"),
        "range for --warning: 5,10; must be as 5, 0.5 or 2:5; WARN and CRIT are two options",
    ),
    ((*HOST, "--run-timeout", "1.5m"), "did you mean 90?"),
    ((*HOST, "-w", "500ms"), "must be as 5, 0.5 or 2:5; did you mean 0.5?"),
    ((*HOST, "-c", "2 min"), "did you mean 120?"),
    ((*HOST, "-w", "5;10"), "WARN and CRIT are two options"),
    ((*HOST, "-w", "5 10"), "WARN and CRIT are two options"),
    ((*HOST, "-w", "5-10"), "did you mean 5:10?"),
    ((*HOST, "-w", " 5"), "it begins or ends with a blank"),
    ((*HOST, "-t", "10 "), "it begins or ends with a blank"),
    ((*HOST, "-D", "60;30"), "did you mean 60,30?"),
    ((*HOST, "-D", "60:30"), "did you mean 60,30?"),
    ((*HOST, "-D", "60 30"), "did you mean 60,30?"),
    ((*HOST, "-D", "4w 2w"), "did you mean 28d,14d?"),
    ((*HOST, "--state", "refused:ok"), "must be KIND=STATE, as refused=ok"),
]


def refused(*argv: str) -> str:
    with pytest.raises(ProbeError) as caught:
        check_settings(argv)
    assert caught.value.kind is Kind.CONFIG
    return caught.value.message


@pytest.mark.parametrize(("argv", "cure"), MISTAKES)
def test_mistake_is_named_with_its_cure(argv: tuple[str, ...], cure: str) -> None:
    """The sentence fits on the status line, and a possible password is not in it."""
    message = refused(*argv)

    assert message.endswith(cure)
    assert "s3cret" not in message
    assert len(message) < 180


@pytest.mark.parametrize(
    "argv",
    [("-t", "0s"), ("-t", "5x"), ("-S", "--max-validity", "90h"), ("-w", "5:x"), ("-t", "3601")],
)
def test_mistake_without_unit_of_time_gets_no_suggestion(argv: tuple[str, ...]) -> None:
    """Nothing is suggested that is invalid, or in another unit."""
    assert "did you mean" not in refused(*HOST, *argv)


FIFTY = "a" * 50

DEVIATIONS = {
    "stra\u00dfe.example": "xn--strae-oqa.example or strasse.example",
    "STRA\u1e9eE.example": "xn--strae-oqa.example or strasse.example",
    "\u03b2\u03cc\u03bb\u03bf\u03c2.example": "xn--nxasmm1c.example or xn--nxasmq6b.example",
    "a\u200db.example": "xn--ab-m1t.example or ab.example",
    "a\u200cb.example": "xn--ab-j1t.example or ab.example",
    "\ua7b7.example": "xn--c78a.example",
    "\u00df" * 40: f"xn--zca{'a' * 39}",
    f"\u00df.{FIFTY}.{FIFTY}.example": f"xn--zca.{FIFTY}.{'a' * 18}... or ss.{FIFTY}.aaa...",
}


@pytest.mark.parametrize("option", ["-H", "--connect-to", "--sni", "URL"])
@pytest.mark.parametrize("name", DEVIATIONS)
def test_host_that_depends_on_the_idna_version_is_refused(name: str, option: str) -> None:
    """IDNA 2003 and 2008 map it to different domains: the user must write the one intended."""
    argv = (option, name)
    if option == "URL":
        argv = ("--oauth-token-url", f"https://{name}/token")
    message = refused(*HOST, "-S", "-U", "u", "--auth", "xoauth2", *argv)

    written = f"its name depends on the IDNA version; write it as {DEVIATIONS[name]}"
    assert message.endswith(written)
