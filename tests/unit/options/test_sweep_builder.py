"""The settings of a sweep, and which options cannot be combined."""

import pytest

from check_pop3_plus.model.settings import (
    HttpsEndpoint,
    RestApi,
    SubmitTarget,
    Sweep,
)
from check_pop3_plus.options import parser
from check_pop3_plus.options.table import SUBMIT_FORMS
from check_pop3_plus.options.validators import UsageError

SWEEP = ("--sweep", "services.ini")
API = ("--submit", "icinga2:https://icinga.example:5665/")
USER = ("--icinga-user", "monitor", "--icinga-password-file", "secret")


def refused(*argv: str) -> str:
    with pytest.raises(UsageError) as caught:
        parser.read(argv)
    return caught.value.message


def test_sweep_has_defaults() -> None:
    """All options but the file are optional; an empty time limit means the default."""
    assert parser.read(SWEEP) == Sweep("services.ini")
    assert parser.read([*SWEEP, "--run-timeout="]) == Sweep("services.ini")
    assert Sweep("f") == Sweep("f", {}, 128, 4, None, 50.0, None, 0)


def test_sweep_passes_options_of_checks_to_all_services() -> None:
    """Its own options are none of them."""
    own = ("--jobs", "5", "--jobs-per-address", "2", "--workers", "3", "--run-timeout", "90")
    checks = ("-vvvv", "-S", "-e", "one", "-e", "two")

    common = {"--verbose": [""] * 4, "--ssl": [""], "--expect": ["one", "two"]}
    expected = Sweep("services.ini", common, 5, 2, 3, 90.0, SubmitTarget("jsonl", "-"), verbosity=3)
    assert parser.read([*SWEEP, *own, *checks, "--submit", "jsonl:-"]) == expected


@pytest.mark.parametrize(
    ("argv", "target"),
    [
        (("--submit", "jsonl:-"), SubmitTarget("jsonl", "-")),
        (("--submit", "nagios:/run/nagios.cmd"), SubmitTarget("nagios", "/run/nagios.cmd")),
        (("--submit", "prometheus:/var/x.prom"), SubmitTarget("prometheus", "/var/x.prom")),
        (
            (*API, *USER, "--icinga-ca-file", "ca.pem"),
            SubmitTarget("icinga2", RestApi(HttpsEndpoint("icinga.example", 5665, "/"), "monitor",
             "secret", "ca.pem")),
        ),
    ],
)  # fmt: skip
def test_submit_value_selects_the_target(argv: tuple[str, ...], target: SubmitTarget) -> None:
    """The part before the colon names it, the rest is its place."""
    sweep = parser.read([*SWEEP, *argv])

    assert isinstance(sweep, Sweep)
    assert sweep.submit_target == target


FORMS = f"must be {', '.join(SUBMIT_FORMS)}".replace(", jsonl:-", " or jsonl:-")
API_NEEDS = "--submit icinga2:URL needs --icinga-user and --icinga-password-file"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("-H", "x"), "--hostname and --sweep cannot be combined: the file of the sweep names the"
         " hosts"),
        (("--output", "json"), "--output and --sweep cannot be combined: use --submit jsonl:- or"
         " prometheus:FILE"),
        (("--submit", "x:y"), f"invalid --submit x:y: {FORMS}"),
        (("--submit", "nagios:"), f"invalid --submit nagios:: {FORMS}"),
        (("--submit", "prometheus:"), f"invalid --submit prometheus:: {FORMS}"),
        (("--submit", "jsonl:x"), f"invalid --submit jsonl:x: {FORMS}"),
        (("--submit", ""), f"invalid --submit (empty): {FORMS}"),
        (("--submit", "nagios:$x$"), "invalid --submit: contains an unresolved macro"),
        (("--submit", "prometheus:$x$.prom"), "invalid --submit: contains an unresolved macro"),
        (("--submit", "jsonl:-", "--submit", "jsonl:-"), "--submit jsonl:- is one too many: it can"
         " be given only once"),
        (("--submit", "icinga2"), f"invalid --submit icinga2: {FORMS}"),
        (("--submit", "icinga2:http://x", *USER), "invalid --submit icinga2:URL: must begin with"
         " https://"),
        (API, API_NEEDS),
        ((*API, *USER[:2]), API_NEEDS),
        ((*API, *USER[2:]), API_NEEDS),
        ((*API, *USER, "--icinga-user", "a:b"), "invalid --icinga-user a:b: must not contain a"
         " colon (RFC 7617 section 2)"),
        ((*API, *USER, "--icinga-user", "\xe4"), "invalid --icinga-user: must be visible ASCII and"
         " not empty"),
        ((*API, *USER, "--icinga-password-file", "$x$"), "invalid --icinga-password-file: contains"
         " an unresolved macro"),
        ((*API, *USER, "--icinga-ca-file", ""), "invalid --icinga-ca-file: empty, or not a path"),
        (("-S", *USER), "options --icinga-... need --submit icinga2:URL"),
        (("--submit", "jsonl:-", *USER), "options --icinga-... need --submit icinga2:URL"),
        (("--jobs", "0"), "invalid --jobs 0: must be a whole number from 1 to 99999"),
        (("--run-timeout", "0"), "invalid --run-timeout 0: must be a number of seconds, above 0"
         " and at most 3600"),
    ],
)  # fmt: skip
def test_sweep_option_invalid_is_refused(argv: tuple[str, ...], message: str) -> None:
    """The whole message."""
    assert refused(*SWEEP, *argv) == message
