"""The shipped templates of the monitoring systems match the options of the plugin."""

from __future__ import annotations

import json
import re
import subprocess
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path

import pytest

from check_pop3_plus.model.settings import Settings, Sweep
from check_pop3_plus.options import parser
from check_pop3_plus.options.table import OF_SWEEPS
from check_pop3_plus.sweep import services
from tests.support import director_basket
from tests.support.option_list import FLAGS, OPTIONS
from tests.support.settings_from import check_settings

TEMPLATES = Path(__file__).parent.parent.parent / "icinga-templates"

FILES = sorted(path for path in TEMPLATES.rglob("*") if path.is_file())
PLUGIN_COMMAND = re.compile(r"(?:check_pop3_plus|_POP3).*")
"""The part of a line in which flags are those of the plugin."""


def arguments(file: str = "icinga2/check_pop3_plus.conf") -> list[tuple[str, str]]:
    """Return option and value of each argument of the CheckCommand."""
    text = (TEMPLATES / file).read_text()
    block = re.search(r"^  arguments = \{\n(.*?)^  \}", text, re.MULTILINE | re.DOTALL)
    assert block
    return re.findall(
        r'^    "(--[\w-]+)[^"\n]*" = (.*?)(?=^    \S)', block[1] + "    .", re.MULTILINE | re.DOTALL
    )


def test_icinga_command_has_each_option_in_order() -> None:
    """The arguments are the options, in the order of --help."""
    assert list(dict.fromkeys(option for option, _ in arguments())) == list(OPTIONS)


@pytest.mark.parametrize("option", OPTIONS)
def test_icinga_variable_has_the_name_of_its_option(option: str) -> None:
    """A flag depends on its variable; any other option has it as value."""
    variable = f'"$pop3_plus_{option[2:].replace("-", "_")}$"'
    value = dict(reversed(arguments()))[option].strip()

    entry = OPTIONS[option]
    if entry.is_counted:
        assert f"set_if = {variable}" in value
    elif not entry.value:
        assert value == f"{{ set_if = {variable} }}"
    elif option in ("--diagnose", "--refuse-cleartext-login"):  # joined to it, and optional
        assert f"macro({variable})" in value
    else:
        assert value == variable


def test_icinga_sweep_command_has_each_sweep_option() -> None:
    """The arguments are the options of sweeps and --run-timeout."""
    found = dict(arguments("sweep/check_pop3_plus_sweep.conf"))

    assert list(found) == [*OF_SWEEPS, "--run-timeout"]
    for option, value in found.items():
        assert f'"$pop3_plus_{option[2:].replace("-", "_")}$"' in value


def test_sweep_example_is_valid() -> None:
    """The plugin accepts every section of the shipped file."""
    path = TEMPLATES / "sweep" / "pop3-sweep.ini"
    wanted = parser.read(["--sweep", str(path)])
    assert isinstance(wanted, Sweep)

    settings = [services.Builder().settings_of(service) for service in services.read(wanted)]

    assert [isinstance(each, Settings) and each.target.hostname for each in settings] == [
        "pop.example.org",
        "pop.example.net",
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(TEMPLATES)))
def test_template_flags_and_variables_exist(file: Path) -> None:
    """No shipped file or its README names an unknown flag or variable."""
    used = set()
    for line in file.read_text().splitlines():
        if found := PLUGIN_COMMAND.search(line):
            used |= set(re.findall(r"(?<![\w-])--?[A-Za-z][\w-]*", found[0]))
        for variable in re.findall(r"\bpop3_plus_(\w+)", line):
            if variable not in ("password", ""):
                used.add("--" + variable.replace("_", "-"))

    assert used <= FLAGS


def test_icinga_service_keys_are_known_and_unique() -> None:
    """Keys of some services are options, and no key has two meanings."""
    text = (TEMPLATES / "icinga2" / "pop3_services.conf").read_text()
    block = re.search(r"pop3_keys = \{\n(.*?)\n\}", text, re.DOTALL)
    assert block
    own = re.findall(r"^  (\w+) = ", block[1], re.MULTILINE)
    found = director_basket.keys_by_service()
    service_keys = [key for keys in found.values() for key in keys]

    assert set(found) == {
        *("login", "delivery", "login_delivery", "availability", "certificate"),
        *("not_login_delivery", "not_certificate"),
    }
    assert {"--" + key.replace("_", "-") for key in service_keys if key != "password"} <= FLAGS
    assert len({*own, *service_keys}) == len(own) + len(service_keys)


def test_icinga_services_know_the_types_of_options() -> None:
    """Repeatable options take arrays; every type that a key has is defined."""
    text = (TEMPLATES / "icinga2" / "pop3_services.conf").read_text()
    given = dict(re.findall(r'^  (\w+) = "(\w+)"', text, re.MULTILINE))
    block = re.search(r"pop3_types = \{\n(.*?)\n\}", text, re.DOTALL)
    assert block
    defined = re.findall(r"^  (\w+) = \[", block[1], re.MULTILINE)

    assert {option for option, kind in given.items() if kind == "values"} == {
        entry.name[2:].replace("-", "_") for entry in OPTIONS.values() if entry.is_repeatable
    }
    assert {*given.values(), "flag", "switch", "value"} == set(defined)


@pytest.mark.parametrize(
    ("preset", "attempts"),
    [("very-high", 0), ("high", 2), ("medium", 5), ("low", 7), ("very-low", 10)],
)
def test_sensitivity_presets_agree_in_all_templates(preset: str, attempts: int) -> None:
    """Icinga 2, Nagios and the Director have the same number of retries, 30 seconds apart."""
    icinga = (TEMPLATES / "icinga2" / "pop3_templates.conf").read_text()
    nagios = (TEMPLATES / "nagios" / "pop3_templates.cfg").read_text()

    assert re.search(
        rf'template Service "pop3-sensitivity-{preset}" {{\n'
        rf'  import "pop3-sensitivity"\n\n  max_check_attempts = {attempts + 1}\b',
        icinga,
    )
    assert 'template Service "pop3-sensitivity" {\n  retry_interval = 30s\n}' in icinga
    assert re.search(
        rf"name +pop3-sensitivity-{preset}\n"
        rf" +max_check_attempts +{attempts + 1}\n +retry_interval +0\.5\n",
        nagios,
    )
    director = BASKET["ServiceTemplate"]
    assert director[f"pop3-sensitivity-{preset}"]["max_check_attempts"] == str(attempts + 1)
    assert director[f"pop3-sensitivity-{preset}"]["imports"] == ["pop3-sensitivity"]
    assert director["pop3-sensitivity"]["retry_interval"] == "30"


# The basket of the Icinga Director.

BASKET = json.loads(director_basket.BASKET.read_text())
DATAFIELDS = list(BASKET["Datafield"].values())


def test_director_basket_is_generated_from_the_table() -> None:
    """The file is what `make generated` writes."""
    assert director_basket.BASKET.read_text() == director_basket.text(director_basket.basket())


def test_director_command_has_each_option_as_field() -> None:
    """The Director has exactly the options of a check."""
    variables = {f"pop3_plus_{option[2:].replace('-', '_')}" for option in OPTIONS}
    command = BASKET["Command"]["pop3_plus"]

    assert command["arguments"].keys() == OPTIONS.keys()
    assert {field["varname"] for field in DATAFIELDS} == variables
    assert len(command["fields"]) == len(DATAFIELDS) == len(OPTIONS)


def test_director_fields_have_unique_captions() -> None:
    """Each has a group and the help text of its option."""
    assert len({field["caption"] for field in DATAFIELDS}) == len(DATAFIELDS)
    for field in DATAFIELDS:
        entry = OPTIONS["--" + field["varname"].removeprefix("pop3_plus_").replace("_", "-")]
        assert field["category"] in BASKET["DatafieldCategory"]
        assert entry.help in field["description"]


def test_director_choices_are_accepted() -> None:
    """The option accepts each entry of its list."""
    for field in DATAFIELDS:
        if "datalist" in field["settings"]:
            flag = "--" + field["varname"].removeprefix("pop3_plus_").replace("_", "-")
            for entry in BASKET["DataList"][field["settings"]["datalist"]]["entries"]:
                value = entry["entry_name"]
                # Where a value is optional, true means that there is none.
                argument = flag if value == "true" else f"{flag}={value}"
                assert check_settings(["-H", "pop.example.org", "--starttls", argument])


# The mail of Icinga 2.


def mail(folder: Path, **more: str) -> EmailMessage:
    """Return the message that the script passes to sendmail."""
    sendmail = folder / "sendmail"
    sendmail.write_text(f'#!/bin/sh\necho "$*" >{folder}/arguments\ncat >{folder}/mail\n')
    sendmail.chmod(0o755)
    environment = {
        "PATH": "/usr/bin:/bin",
        "SENDMAIL": str(sendmail),
        "TO": "op@example.test",
        "TYPE": "PROBLEM",
        "HOST": "pop.example.test",
        "HOST_NAME": "pop.example.test",
        "SERVICE": "Mailbox",
        "SERVICE_NAME": "Mailbox",
        "STATE": "CRITICAL",
        "OUTPUT": "POP3 CRITICAL - nothing works\nkind: bug",
    } | more
    done = subprocess.run(
        ["/bin/sh", TEMPLATES / "icinga2" / "pop3_mail.sh"],
        env={"PATH": environment.pop("PATH")}
        | {f"POP3_{name}": value for name, value in environment.items()},
        capture_output=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == (b"", b"")
    assert (folder / "arguments").read_text() == "-t -i\n"
    return BytesParser(policy=policy.default).parsebytes((folder / "mail").read_bytes())


REASON = "POP3 CRITICAL - nothing works"


def test_mail_has_the_whole_output(tmp_path: Path) -> None:
    """The reason is the subject and the first line; service and comment are above the rest."""
    more = {"ADDRESS": "192.0.2.25", "SOURCE": "master", "DATE": "noon"}
    sent = mail(tmp_path, COMMENT="on it", AUTHOR="op", **more)

    assert sent["To"] == "op@example.test"
    assert sent["From"] is None
    assert sent["Subject"] == f"{REASON} - PROBLEM: Mailbox on pop.example.test is CRITICAL"
    assert sent["Auto-Submitted"] == "auto-generated"
    assert sent.get_content().splitlines() == [
        REASON,
        "service: pop.example.test!Mailbox, address 192.0.2.25",
        "time: noon, checked from master",
        "comment by op: on it",
        "kind: bug",
    ]


@pytest.mark.parametrize("character", ["x", "ü", "語"])
def test_mail_subject_of_long_output_is_cut(tmp_path: Path, character: str) -> None:
    """Foreign output may be of any length; no character is split, and the body has all of it."""
    sent = mail(tmp_path, OUTPUT=f"Error: {character * 300}")

    reason, found, _ = sent["Subject"].partition(" - PROBLEM: Mailbox on ")
    assert found
    assert reason.rstrip(character) in ("Error: ", "Error:")
    assert len(reason.encode()) <= 200
    assert sent.get_content().count(character) >= 300


def test_mail_content_is_not_executed_or_a_header(tmp_path: Path) -> None:
    """This holds even for text that the plugin would never print."""
    evil = f"$(touch {tmp_path}/run)`touch {tmp_path}/run`\nBcc: x@example.test\r\n\r\n.\n%s\\n"
    sent = mail(tmp_path, **dict.fromkeys(("TO", "SERVICE_NAME", "OUTPUT", "COMMENT"), evil))

    assert not (tmp_path / "run").exists()
    assert sent["Bcc"] is None
    assert "%s\\n" in sent.get_content()


@pytest.mark.parametrize("name", ["Büro", "日本語の郵便箱" * 12, "Größe_=? 100%" * 8])
def test_mail_subject_with_any_characters_is_encoded(tmp_path: Path, name: str) -> None:
    """It is encoded by RFC 2047 in lines of at most 76 characters."""
    sent = mail(tmp_path, SERVICE_NAME=name)

    assert sent["Subject"] == f"{REASON} - PROBLEM: {name} on pop.example.test is CRITICAL"
    assert max(map(len, (tmp_path / "mail").read_bytes().split(b"\n\n")[0].splitlines())) < 77


def test_mail_long_lines_are_folded(tmp_path: Path) -> None:
    """Mail systems refuse lines of more than 998 characters."""
    sent = mail(tmp_path, OUTPUT="word " * 1000)

    assert max(map(len, sent.get_content().splitlines())) < 998
