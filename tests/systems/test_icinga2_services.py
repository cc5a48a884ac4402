"""The shipped services, notifications and dependencies of Icinga 2, against a real Dovecot."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pki.certificates import Pki
from tests.servers.dovecot import PASSWORDS, PERSONAS, Dovecot
from tests.servers.icinga2 import MASTER, TEMPLATES, Icinga, Node, dsl
from tests.servers.scripted_server import dead_port

pytestmark = pytest.mark.real

OK, WARNING, CRITICAL, UNKNOWN = range(4)
NAME = "pop.example.test"

Hosted = Callable[..., dict[str, object]]

USERS = """
object User "op" { email = "op@example.test" }
object User "owner" { email = "owner@example.test" }
"""


def host(**checks: object) -> str:
    """Return the host `pop` with these entries of vars.pop3, and the users."""
    return f"""{USERS}
    object Host "pop" {{
      import "pop3-host"
      address = "127.0.0.1"
      zone = "{MASTER}"
      vars.pop3 = {dsl(checks)}
    }}
    """


@pytest.fixture
def hosted(dovecot: Dovecot, pki: Pki, tmp_path: Path) -> Hosted:
    """Return an entry of vars.pop3 with all settings, for a persona of Dovecot."""

    def entry(persona: str = "good", password: str | None = None) -> dict[str, object]:
        secret = tmp_path / f"{persona}.secret"
        secret.touch(mode=0o600)
        secret.write_text(PASSWORDS["monitor"] if password is None else password)
        return {
            "hostname": NAME,
            "connect_to": PERSONAS[persona].address,
            "port": dovecot.tls,
            "ssl": True,
            "ca_file": str(pki.ca_file),
            "username": "monitor",
            "password_file": str(secret),
            "users": ["op"],
        }

    return entry


def test_shipped_files_are_valid(icinga: Icinga, hosted: Hosted) -> None:
    """Icinga 2 accepts them, and a host that uses them, without warnings."""
    done = icinga.node(host(Mailbox=hosted())).validate()

    assert done.returncode == 0, done.stdout
    assert "warning" not in done.stdout


README = (TEMPLATES / "README.md").read_text()
# Objects of Icinga's sample configuration, and the endpoints of the README.
SAMPLE_OBJECTS = """
object User "icingaadmin" { }
object TimePeriod "24x7" { ranges = { monday = "00:00-24:00" } }
""" + "".join(
    f'object Endpoint "{name}" {{ }}\n'
    f'object Zone "{zone}" {{ endpoints = [ "{name}" ], parent = "{MASTER}" }}\n'
    for name, zone in (
        ("master.example.org", "master"),
        ("satellite1.example.org", "satellite1"),
        ("satellite2.example.org", "satellite2"),
    )
)


def block(name: str) -> str:
    found = re.search(rf"<!-- {name}: begin -->\n```\n(.*?)```", README, re.DOTALL)
    assert found
    return found[1]


@pytest.mark.parametrize(
    ("text", "services"),
    [
        (
            block("example"),
            ["Customer mail", "Customer mail certificate", "Customer mail login", "pop"],
        ),
        (
            block("locations"),
            [
                "Customer mail",
                "Customer mail at master.example.org",
                "Customer mail at satellite1.example.org",
                "Customer mail at satellite2.example.org",
                "Customer mail certificate",
                "Customer mail login",
            ],
        ),
        (
            (TEMPLATES / "pop3_hosts.conf.example").read_text(),
            ["Customer mail", "Customer mail certificate", "Customer mail login"],
        ),
    ],
    ids=["readme", "locations", "pop3_hosts.conf.example"],
)
def test_examples_give_the_described_services(
    icinga: Icinga, text: str, services: list[str]
) -> None:
    """The examples of the README work unchanged."""
    text = text.replace('import "pop3-host"\n', f'import "pop3-host"\nzone = "{MASTER}"\n')
    node = icinga.node(SAMPLE_OBJECTS + text)
    assert "warning" not in node.validate().stdout
    with node:
        assert [name.partition("!")[2] for name in node.services()] == services


def test_readme_lists_every_key() -> None:
    """Each key that is not an option of the plugin is explained."""
    text = (TEMPLATES / "pop3_services.conf").read_text()
    keys = re.search(r"pop3_keys = \{\n(.*?)\n\}", text, re.DOTALL)
    assert keys
    for key in re.findall(r"^  (\w+) = ", keys[1], re.MULTILINE):
        assert f"`{key}`" in README or f"`{key} = " in README, key


def test_empty_entry_gives_plain_availability(icinga: Icinga, dovecot: Dovecot) -> None:
    """`{ }` is the availability on the plain port, and nothing else."""
    with icinga.node(host(pop={}, other={"port": dovecot.plain})) as node:
        assert node.services() == ["pop!other", "pop!pop"]
        result = node.check("pop!other")

    assert result.state == OK
    target = ["--hostname", "127.0.0.1", "--port", str(dovecot.plain)]
    assert result.command[1:] == ["--diagnose", *target]


def test_full_entry_gives_three_services(icinga: Icinga, hosted: Hosted) -> None:
    """Availability, login and certificate, each with the options that concern it."""
    entry = hosted() | {
        "label": "Customer mail",
        "expect": "+OK",
        "messages_warning": 100,
        "min_key_bits": 2048,
        "all_addresses": True,
        "warning": 9,
    }
    with icinga.node(host(Mailbox=entry)) as node:
        services = {name: node.service(name) for name in node.services()}
        results = {name: node.check(name) for name in services}

    assert [service["display_name"] for service in services.values()] == [
        "Customer mail",
        "Customer mail certificate",
        "Customer mail login",
    ]
    wanted = ("check_interval", "retry_interval", "max_check_attempts")
    assert [[service[name] for name in wanted] for service in services.values()] == [
        [300, 30, 3],
        [6 * 3600, 300, 3],
        [900, 900, 1],
    ]
    assert {name: result.state for name, result in results.items()} == dict.fromkeys(services, OK)
    options = {name: set(result.command) for name, result in results.items()}
    mine = {
        "pop!Mailbox": {"--expect", "--all-addresses", "--warning"},
        "pop!Mailbox certificate": {"--certificate", "--min-key-bits", "--all-addresses"},
        "pop!Mailbox login": {
            *("--username", "--password-file", "--messages-warning", "--warning"),
            "--timeout",  # longer than Dovecot delays logins after failed ones
        },
    }
    only = set().union(*mine.values())
    assert {name: given & only for name, given in options.items()} == mine
    assert "25%,10%" in options["pop!Mailbox certificate"]
    assert PASSWORDS["monitor"] not in str([services, results])


def test_round_trip_is_a_service_of_its_own(icinga: Icinga, hosted: Hosted) -> None:
    """It logs in, and a retry, which sends a mail, too, is no sooner than a check."""
    delivery = {"round_trip_to": "a@example.org", "smtp_host": "mx.example.org"}
    entry = hosted() | delivery | {"delivery_interval": 600, "messages_warning": 9}
    with icinga.node(host(Mailbox=entry)) as node:
        services = {name: node.service(name) for name in node.services()}
        options = {name: set(node.check(name).command) for name in services}

    mine = services["pop!Mailbox delivery"]
    assert mine["display_name"] == "Mailbox delivery"
    assert (mine["check_interval"], mine["retry_interval"]) == (600, 600)
    given = options.pop("pop!Mailbox delivery")
    assert {"--round-trip-to", "--smtp-host", "--username", "--password-file"} <= given
    assert "--messages-warning" not in given
    assert not any("--round-trip-to" in each for each in options.values())


def test_failure_is_reported_by_one_service(icinga: Icinga, hosted: Hosted) -> None:
    """The service that the failure concerns, read back through the API."""
    checks = {
        "renew": hosted("expiring") | {"certificate": "30d/33%,1d/1%"},
        "password": hosted("tls13", password="wrong"),
        "expired": hosted("expired"),
    }
    with icinga.node(host(**checks)) as node, dead_port() as port:
        states = {name: node.check(name) for name in node.services()}
        node.change("pop!renew", **{"vars.pop3_plus_port": port})
        refused = node.check("pop!renew")

    assert {name.partition("!")[2]: result.state for name, result in states.items()} == {
        "renew": OK,
        "renew certificate": WARNING,
        "renew login": OK,
        "password": OK,
        "password certificate": OK,
        "password login": CRITICAL,
        "expired": CRITICAL,
        "expired certificate": CRITICAL,
        "expired login": CRITICAL,
    }
    assert "expires in 4 days" in states["pop!renew certificate"].line
    assert "login of monitor rejected" in states["pop!password login"].line
    assert "\nkind: credentials" in states["pop!password login"].output
    assert refused.state == CRITICAL
    assert "connection refused" in refused.line


@pytest.mark.parametrize(
    ("preset", "attempts"),
    [("very-high", 1), ("high", 3), ("medium", 6), ("low", 8), ("very-low", 11)],
)
def test_sensitivity_sets_attempts(icinga: Icinga, preset: str, attempts: int) -> None:
    """A preset is a number of attempts, 30 seconds apart; the login has no retries."""
    entry = {"sensitivity": preset, "username": "monitor", "password_file": "/nonexistent"}
    with icinga.node(host(pop=entry)) as node:
        availability, login = node.service("pop!pop"), node.service("pop!pop login")

    assert (availability["max_check_attempts"], availability["retry_interval"]) == (attempts, 30)
    assert login["max_check_attempts"] == 1


def test_intervals_and_timeouts_are_applied(icinga: Icinga) -> None:
    """Icinga waits longer than the plugin runs."""
    entry = {
        "certificate": "60",
        "username": "monitor",
        "password_file": "/nonexistent",
        "timeout": "70:unknown",
        "interval": 60,
        "login_interval": 3600,
        "certificate_interval": 86400,
    }
    with icinga.node(host(pop=entry)) as node:
        services = [node.service(name) for name in node.services()]

    assert [service["check_interval"] for service in services] == [60, 86400, 3600]
    assert [service["check_timeout"] for service in services] == [80, 80, 80]


ENTRY = 'vars.pop3["pop"] of host pop'

DURATION = "must be a duration such as 5m, without quotes, not"
TEXT = "must be a text in quotes, not empty, not"
NAMES = 'must be an array of different names, such as [ "a", "b" ], not'
VALUE = "must be a text or a number, not empty, not"
FLAG = "must be true or false, without quotes, not"


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("interval", "5m", f'{DURATION} "5m".'),
        ("interval", 0, f"{DURATION} 0."),
        ("login_interval", [60], f"{DURATION} [60]."),
        ("certificate_interval", True, f"{DURATION} true."),
        ("delay", "5m", f'{DURATION} "5m".'),
        ("login_delay", -1, f"{DURATION} -1."),
        (
            "sensitivity",
            "normal",
            'must be very-high, high, medium, low or very-low, not "normal".',
        ),
        ("sensitivity", 3, "must be very-high, high, medium, low or very-low, not 3."),
        ("users", "op", f'{NAMES} "op".'),
        ("groups", {"a": True}, f'{NAMES} {{"a":true}}.'),
        ("certificate_users", "op", f'{NAMES} "op".'),
        ("certificate_groups", [1], f"{NAMES} [1]."),
        ("locations", MASTER, f'{NAMES} "{MASTER}".'),
        ("locations", ["a", "a"], f'{NAMES} ["a","a"].'),
        ("consensus", "2", 'must be a number, without quotes, not "2".'),
        ("period", False, f"{TEXT} false."),
        ("label", {}, f"{TEXT} {{}}."),
        ("label", "", f'{TEXT} "".'),
        ("ssl", "yes", f'{FLAG} "yes".'),
        ("ssl", 1, f"{FLAG} 1."),
        ("reject_legacy_tls", [True], f"{FLAG} [true]."),
        ("username", "", f'{VALUE} "".'),
        ("username", None, f"{VALUE} null."),
        ("port", [995], f"{VALUE} [995]."),
        ("tls_min", True, f"{VALUE} true."),
        ("password_file", {"path": "x"}, f'{VALUE} {{"path":"x"}}.'),
        ("password", ["s3cret"], "must be a text in quotes, not empty."),
        ("expect", {"a": "b"}, 'must be a text, or an array of texts, not {"a":"b"}.'),
        ("state", [], "must be a text, or an array of texts, not []."),
        ("pin", [True], "must be a text, or an array of texts, not [true]."),
        ("diagnose", ["dns"], 'must be true, false or a text, not ["dns"].'),
        ("verbose", "3", 'must be 0, 1, 2 or 3, without quotes, not "3".'),
        ("verbose", True, "must be 0, 1, 2 or 3, without quotes, not true."),
        ("timeout", "10s", 'must be seconds, such as 10 or "10:unknown", not "10s".'),
        ("run_timeout", True, 'must be seconds, such as 10 or "10:unknown", not true.'),
        ("certificate", True, "must be false, or days such as 60, or a text"),
        ("certificate", 30 * 86400, "must be false, or days such as 60, or a text"),
        ("max_validity", 90 * 86400, "must be days, such as 90 (30d without quotes is a number"),
    ],
)
def test_wrong_type_is_rejected(icinga: Icinga, key: str, value: object, complaint: str) -> None:
    """The error names host, entry and key, and shows the value unless it is a password."""
    done = icinga.node(host(pop={key: value})).validate()

    assert done.returncode != 0
    assert f"{ENTRY}: {key} {complaint}" in done.stdout
    assert "s3cret" not in done.stdout


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ({"pasword_file": "x"}, f"{ENTRY} has the unknown key pasword_file."),
        ({"tls-min": "1.3"}, f"{ENTRY} has the unknown key tls-min. Write tls_min."),
        (
            {"reject-legacy-tls": True},
            f"{ENTRY} has the unknown key reject-legacy-tls. Write reject_legacy_tls.",
        ),
        ({"login-delay": 60}, f"{ENTRY} has the unknown key login-delay. Write login_delay."),
        ({"--tls-min": "1.3"}, f"{ENTRY} has the unknown key --tls-min. Write tls_min."),
        ({"SSL": True}, f"{ENTRY} has the unknown key SSL. Write ssl."),
        ({"password_env for_pop3_plus_password": "x"}, f"{ENTRY} has the unknown key password_env"),
        (True, 'must be a dictionary: vars.pop3["pop"] = { } (host pop)'),
        (["dns"], 'must be a dictionary: vars.pop3["pop"] = { } (host pop)'),
        ({"locations": [MASTER, "agent"], "consensus": 3}, "consensus must be a number from 1 to"),
        ({"consensus": 1}, "consensus must be a number from 1 to"),
    ],
)
def test_invalid_entry_is_rejected(icinga: Icinga, entry: object, complaint: str) -> None:
    """The error names the entry, and the right key where only the hyphens are wrong."""
    done = icinga.node(host(pop=entry)).validate()

    assert done.returncode != 0
    assert complaint in done.stdout


def test_every_type_of_value_is_accepted(icinga: Icinga) -> None:
    """What the plugin takes is no error: numbers as texts, texts as numbers, macros."""
    entry = {
        "label": "Post",
        "interval": 0.5,
        "login_delay": 0,
        "users": [],
        "certificate": False,
        "port": "995",
        "ssl": False,
        "tls_min": 1.3,
        "expect": ["+OK", 2],
        "state": "expect=ok",
        "pin": "sha256:0",
        "diagnose": "dns,tls",
        "verbose": 0,
        "timeout": 2.5,
        "run_timeout": "30",
        "max_validity": 90,
        "password": "x",
        "username": "$host.name$",
    }
    node = icinga.node(host(pop=entry, other={"diagnose": False, "certificate": "30d/33%"}))
    done = node.validate()

    assert done.returncode == 0, done.stdout


def test_array_of_entries_is_rejected(icinga: Icinga) -> None:
    """The entries need names: an array would be ignored."""
    done = icinga.node(
        'object Host "h" { check_command = "dummy", vars.pop3 = [ { } ] }'
    ).validate()

    assert done.returncode != 0
    assert 'vars.pop3 of host h must be a dictionary: vars.pop3["NAME"] = { }' in done.stdout


def test_entries_with_a_service_of_one_name_are_rejected(icinga: Icinga) -> None:
    """One of the two would not be checked, and nothing would say so."""
    entries = 'vars.pop3["a"] = { ssl = true }, vars.pop3["a certificate"] = { }'
    done = icinga.node(f'object Host "h" {{ check_command = "dummy", {entries} }}').validate()

    assert done.returncode != 0
    assert "of host h: its service a certificate is also one of vars.pop3" in done.stdout


def test_unrelated_variable_creates_no_services(icinga: Icinga) -> None:
    """A host whose `vars.pop3` is something else has no POP3 services."""
    with icinga.node('object Host "h" { check_command = "dummy", vars.pop3 = true }') as node:
        assert node.services() == []


# Notifications.


def settle(node: Node, count: int) -> None:
    """Wait for longer than Icinga's notification timer of five seconds."""
    time.sleep(6)
    assert len(node.mails()) == count


def test_state_change_sends_one_mail(icinga: Icinga, hosted: Hosted, dovecot: Dovecot) -> None:
    """Down, still down, up: a mail, no mail, a mail, with the whole output of the check."""
    entry = hosted() | {"sensitivity": "very-high", "label": "Kundenpost Zürich"}
    del entry["username"], entry["password_file"]
    with icinga.node(host(Mailbox=entry)) as node, dead_port() as port:
        assert node.check("pop!Mailbox").state == OK
        node.change("pop!Mailbox", **{"vars.pop3_plus_port": port})
        assert node.check("pop!Mailbox").state == CRITICAL
        [problem] = node.wait_for_mails(1)
        assert node.check("pop!Mailbox").state == CRITICAL
        settle(node, 1)
        node.change("pop!Mailbox", **{"vars.pop3_plus_port": dovecot.tls})
        assert node.check("pop!Mailbox").state == OK
        _, recovery = node.wait_for_mails(2)
        settle(node, 2)

    assert problem["To"] == "op@example.test"
    reason, _, what = problem["Subject"].partition(" - PROBLEM: ")
    assert what == "Kundenpost Zürich on pop is CRITICAL"
    assert "connection refused" in reason
    text = problem.get_content()
    first = text.splitlines()[:9]
    assert first[0] == reason
    assert f"{NAME}:{port}" in reason
    assert "service: pop!Mailbox, address 127.0.0.1" in first
    assert any(line.startswith("kind: refused") for line in first)
    assert any(line.startswith(("likely cause: ", "cause: ", "try: ")) for line in first)
    assert recovery["Subject"].startswith("POP3 OK - ")
    assert recovery["Subject"].endswith(" - RECOVERY: Kundenpost Zürich on pop is OK")


def test_soft_state_sends_no_mail(icinga: Icinga) -> None:
    """There is no notification before the last attempt."""
    with dead_port() as port, icinga.node(host(pop={"port": port, "users": ["op"]})) as node:
        for attempts in (2, 2):
            node.act("process-check-result", "pop!pop", exit_status=0, plugin_output="fine")
            for _ in range(attempts):
                node.check("pop!pop")
        settle(node, 0)
        node.check("pop!pop")
        node.wait_for_mails(1)


def test_delay_suppresses_short_failures(icinga: Icinga) -> None:
    """Shorter failures send no mail, longer ones send one."""
    entry = {"users": ["op"], "delay": 3, "sensitivity": "very-high"}
    with dead_port() as port, icinga.node(host(pop=entry | {"port": port})) as node:
        node.check("pop!pop")
        node.act("process-check-result", "pop!pop", exit_status=0, plugin_output="fine")
        time.sleep(4)
        settle(node, 0)
        node.check("pop!pop")
        node.wait_for_mails(1)
        settle(node, 1)


def test_wrong_password_sends_mail_immediately(icinga: Icinga, hosted: Hosted) -> None:
    """With the transcript and without the password."""
    entry = hosted(password="my wrong secret") | {"login_delay": 0}
    with icinga.node(host(Mailbox=entry)) as node:
        result = node.check("pop!Mailbox login")
        [mail] = node.wait_for_mails(1)

    assert result.state == CRITICAL
    text = mail.get_content()
    assert "transcript: C: PASS ***" in text
    assert "my wrong secret" not in f"{text}{result.everything}"


def test_certificate_mail_goes_to_its_owner_daily(icinga: Icinga, hosted: Hosted) -> None:
    """Until the certificate is renewed."""
    entry = hosted("expiring") | {"certificate": "30,1", "certificate_users": ["owner"]}
    with icinga.node(host(Mailbox=entry)) as node:
        for _ in range(3):
            assert node.check("pop!Mailbox certificate").state == WARNING
        [mail] = node.wait_for_mails(1)
        settle(node, 1)
        [notification] = node.objects("notifications", "pop!Mailbox certificate!pop3")

    assert mail["To"] == "owner@example.test"
    assert "expires in 4 days" in mail.get_content()
    assert notification["interval"] == 86400
    assert notification["next_notification"] - notification["last_notification"] > 86390


def test_login_failure_of_a_dead_server_sends_no_mail(icinga: Icinga, hosted: Hosted) -> None:
    """Only the availability is reported."""
    entry = hosted() | {"login_delay": 4, "sensitivity": "very-high"}
    with dead_port() as port, icinga.node(host(Mailbox=entry | {"port": port})) as node:
        # As after a time without failures.
        for name in ("pop!Mailbox login", "pop!Mailbox"):
            node.act("process-check-result", name, exit_status=0, plugin_output="fine")
        began = time.time()
        assert node.check("pop!Mailbox login").state == CRITICAL
        assert node.next_result("pop!Mailbox", began).state == CRITICAL
        [mail] = node.wait_for_mails(1)
        time.sleep(4)
        settle(node, 1)

    assert mail["Subject"].endswith(" - PROBLEM: Mailbox on pop is CRITICAL")
