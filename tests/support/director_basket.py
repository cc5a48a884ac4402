"""Make the basket of the Icinga Director from the table of options: `make generated`.

The Director identifies objects by name. Version 1.10 duplicates a basket with uuids, 1.11 one with
originalIds: it has neither.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from check_pop3_plus.options.help_text import invocation
from check_pop3_plus.options.table import GROUPS, SENSITIVITIES, Entry
from tests.support.option_list import OPTIONS

TEMPLATES = Path(__file__).parent.parent.parent / "icinga-templates"
BASKET = TEMPLATES / "director" / "check_pop3_plus-basket.json"

COMMAND = "pop3_plus"
EVERYDAY = (
    *("hostname", "connect_to", "port", "ssl", "starttls", "certificate"),
    *("username", "password_file"),
)
"""Fields of a host that come first; the other options are in the groups of --help."""

CAPTIONS = {
    "hostname": "POP3 server name",
    "ssl": "TLS (port 995)",
    "starttls": "STARTTLS (port 110)",
    "ca_path": "CA directory",
    "tls_min": "Minimum TLS version",
    "x509_strict": "Strict RFC 5280",
    "certificate": "Certificate: minimum remaining time",
    "pin": "Certificate or key hashes",
    "issuer": "Certificate issuer",
    "expect_cert_file": "Expected certificate file",
    "min_key_bits": "Minimum key strength (RSA bits)",
    "cert_type": "Certificate key type",
    "min_addresses": "Minimum number of good addresses",
    "use_ipv4": "IPv4 only",
    "use_ipv6": "IPv6 only",
    "client_cert": "Client certificate",
    "messages_warning": "Messages, WARNING",
    "messages_critical": "Messages, CRITICAL",
    "size_warning": "Mailbox size in bytes, WARNING",
    "size_critical": "Mailbox size in bytes, CRITICAL",
    "round_trip_to": "Round trip: recipient",
    "round_trip_key_file": "Round trip: key file",
    "round_trip_id": "Round trip: identifier",
    "round_trip_wait": "Round trip: wait (seconds)",
    "round_trip_fetch_only": "Round trip: send nothing",
    "probe_age_warning": "Age of the newest probe, WARNING",
    "probe_age_critical": "Age of the newest probe, CRITICAL",
    "delivery_warning": "Delivery time, WARNING",
    "delivery_critical": "Delivery time, CRITICAL",
    "smtp_host": "SMTP server name",
    "smtp_ssl": "SMTP: TLS (port 465)",
    "smtp_starttls": "SMTP: STARTTLS (port 587)",
    "smtp_from": "Sender of the probes",
    "smtp_helo": "Name in EHLO",
    "smtp_auth": "SMTP authentication",
    "newest_warning": "Age of the newest message, WARNING",
    "newest_critical": "Age of the newest message, CRITICAL",
    "oldest_warning": "Age of the oldest message, WARNING",
    "oldest_critical": "Age of the oldest message, CRITICAL",
    "allow_insecure_login": "Login without verified TLS",
    "refuse_cleartext_login": "No login in clear text",
    "max_validity": "Maximum certificate lifetime (days)",
    "username": "User name",
    "password_env": "Password from environment variable",
    "password_command": "Password from command",
    "auth": "Authentication",
    "warning": "Response time, WARNING",
    "critical": "Response time, CRITICAL",
    "phase_warning": "Phase times, WARNING",
    "phase_critical": "Phase times, CRITICAL",
    "timeout": "Timeout per attempt (seconds)",
    "run_timeout": "Timeout of the whole run (seconds)",
    "expect": "Greeting contains",
    "all": "Greeting contains all texts",
    "require_capa": "Required capabilities",
    "reject_legacy_tls": "Reject TLS 1.0 and 1.1",
    "state": "States by kind",
    "refuse": "State of a refused connection",
    "mismatch": "State of an unexpected greeting",
    "diagnose": "Diagnose failures",
    "sensitivity": "Retries by the plugin, preset",
    "rechecks": "Retries by the plugin, number",
    "extra_opts": "Section of an INI file",
}
"""Where the name of the option does not say it to a reader of forms."""

SPELLINGS = {
    "ca": "CA",
    "id": "ID",
    "ipv4": "IPv4",
    "ipv6": "IPv6",
    "oauth": "OAuth",
    "smtp": "SMTP",
    "sni": "SNI",
    "starttls": "STARTTLS",
    "tls": "TLS",
    "url": "URL",
}

REMARKS = {
    "hostname": "Default: the address of the host.",
    "certificate": "The certificate service uses 25%,10% if this is empty.",
    "username": "Only the login service uses it.",
    "timeout": "The login service uses 20 if this is empty.",
    "password_file": "It is read by the Icinga user on the machine that runs the check.",
    "diagnose": "Set true for the diagnostics that fit the failure.",
    "refuse_cleartext_login": "Set true, or try.",
    "sensitivity": "Not with the templates pop3-sensitivity-..., which retry themselves.",
    "rechecks": "Not with the templates pop3-sensitivity-..., which retry themselves.",
    "verbose": "A number from 1 to 3.",
}
"""Additions for the Director."""

STATES = ("ok", "warning", "critical", "unknown")


class Option(NamedTuple):
    """One option of the plugin, as the Director needs it."""

    group: str
    entry: Entry

    @property
    def key(self) -> str:
        return self.entry.name[2:].replace("-", "_")

    @property
    def is_flag(self) -> bool:
        return not self.entry.value and not self.entry.is_counted

    @property
    def variable(self) -> str:
        return f"pop3_plus_{self.key}"

    @property
    def macro(self) -> str:
        return f"${self.variable}$"

    @property
    def caption(self) -> str:
        if self.key in CAPTIONS:
            return CAPTIONS[self.key]
        words = [SPELLINGS.get(word, word) for word in self.key.split("_")]
        return " ".join([words[0][0].upper() + words[0][1:], *words[1:]])

    @property
    def description(self) -> str:
        text = f"{invocation(self.entry)}: {self.entry.help}."
        return f"{text} {REMARKS[self.key]}" if self.key in REMARKS else text

    @property
    def choices(self) -> tuple[str, ...]:
        """All values of an option with a list of values."""
        if self.entry.value == "STATE":
            return STATES
        is_optional = self.entry.is_optional and self.entry.choices
        return ("true", *self.entry.choices) if is_optional else self.entry.choices


def option_table() -> list[Option]:
    """Return the options that one check can have, in the order of --help."""
    return [
        Option(group, entry)
        for group, entries in GROUPS.items()
        for entry in entries
        if entry.name in OPTIONS
    ]


def keys_by_service() -> dict[str, list[str]]:
    """Return the keys that only some services get: the lists of the files for Icinga 2."""
    text = re.sub("//.*", "", (TEMPLATES / "icinga2" / "pop3_services.conf").read_text())
    block = re.search(r"pop3_options = \{\n(.*?)\n\}", text, re.DOTALL)
    assert block
    found = re.findall(r"^  (\w+) = \[(.*?)\]", block[1], re.MULTILINE | re.DOTALL)
    return {name: re.findall(r'"(\w+)"', keys) for name, keys in found}


# --- the command -----------------------------------------------------------------------------


def function(body: str) -> dict[str, str]:
    return {"type": "Function", "body": body}


def service_filter(option: Option) -> str:
    """Return the filter for the services that get the option; "" if all do.

    A service of none of the kinds, defined by the user, gets every option.
    """
    for name, keys in keys_by_service().items():
        if option.key in keys:
            kinds = name.removeprefix("not_").split("_")
            if name.startswith("not_"):
                return f'!(macro("$pop3_kind$") in {json.dumps(kinds)})'
            return f'macro("$pop3_kind$") in {json.dumps(["", *kinds])}'
    return ""


def argument(option: Option) -> dict[str, Any] | str:
    """Return how and when Icinga passes an option, in the notation of the Director."""
    given, condition = passing(option)
    if expression := " && ".join(filter(None, [service_filter(option), condition])):
        given |= {"set_if": expression, "set_if_format": "expression"}
    elif option.is_flag:
        given = {"set_if": option.macro}
    if option.key == "hostname":
        # Also because the Director forgets the function of an argument that has nothing else.
        given |= {"required": True}
    return option.macro if given == {"value": option.macro} else given


def passing(option: Option) -> tuple[dict[str, Any], str]:
    """Return how Icinga passes an option, and when; "" if that is when its variable is set."""
    value = f'macro("{option.macro}")'
    if option.key in SPECIAL:
        body, condition = SPECIAL[option.key]
        return {"value": function(body)}, condition
    if option.is_flag:
        return {}, f"!!{value}" if service_filter(option) else ""
    if option.entry.is_counted:
        body = f'"-" + "vvv".substr(0, number({value}))'
        return {"skip_key": True, "value": function(body)}, f"!!{value}"
    if option.entry.is_repeatable:
        return {"repeat_key": True, "value": option.macro}, ""
    if option.key in ("diagnose", "refuse_cleartext_login"):
        # Its value is joined to it, and true means that there is none.
        body = f'if (string({value}) == "true") {{ "" }} else {{ "=" + {value} }}'
        return (
            {"skip_key": True, "value": function(f'"{option.entry.name}" + {body}')},
            f"!!{value}",
        )
    return {"value": option.macro}, ""


_CERTIFICATE = 'macro("$pop3_plus_certificate$") || macro("$pop3_certificate_default$")'
_TIMEOUT = 'macro("$pop3_plus_timeout$") || macro("$pop3_timeout_default$")'

SPECIAL = {
    "hostname": (
        'macro("$pop3_plus_hostname$") || (macro("$pop3_plus_use_ipv6$") && macro("$address6$"))'
        ' || macro("$address$") || macro("$address6$")',
        "",
    ),
    # A default in the variable itself would win against what is set for the host.
    "certificate": (_CERTIFICATE, f"!!({_CERTIFICATE})"),
    "timeout": (_TIMEOUT, f"!!({_TIMEOUT})"),
    # A login service without a user name must not look as if it logged in: the plugin complains.
    "username": (
        'macro("$pop3_plus_username$")',
        '(macro("$pop3_kind$") in [ "login", "delivery" ] || !!macro("$pop3_plus_username$"))',
    ),
}
"""Options that are more than their variable: what is passed, and when."""


def command(table: list[Option]) -> dict[str, Any]:
    return {
        "object_name": COMMAND,
        "object_type": "object",
        "command": "check_pop3_plus",
        "methods_execute": "PluginCheck",
        # Never reached: the plugin ends by itself.
        "timeout": "60",
        "arguments": {option.entry.name: argument(option) for option in table},
        "fields": fields(table),
        "vars": {"pop3_kind": ""},
    }


# --- fields ----------------------------------------------------------------------------------


def category(option: Option) -> str:
    return "POP3" if option.key in EVERYDAY else f"POP3: {option.group.partition(' (')[0]}"


def datafield(option: Option) -> dict[str, Any]:
    kind, settings = datatype(option)
    return {
        "varname": option.variable,
        "caption": option.caption,
        "description": option.description,
        "category": category(option),
        "datatype": f"Icinga\\Module\\Director\\DataType\\DataType{kind}",
        "format": None,
        "settings": settings,
    }


def datatype(option: Option) -> tuple[str, dict[str, str]]:
    if option.is_flag:
        return "Boolean", {}
    if option.entry.is_repeatable:
        return "Array", {}
    if option.entry.is_counted:
        return "Number", {}
    if option.choices:
        settings = {"behavior": "strict", "data_type": "string", "datalist": list_name(option)}
        return "Datalist", settings
    if option.entry.value in ("N", "DAYS") and option.key != "run_timeout":
        return "Number", {}
    # No option takes a secret, so that none has to be hidden.
    return "String", {"visibility": "visible"}


def list_name(option: Option) -> str:
    return "POP3 state" if option.choices == STATES else f"POP3 {option.entry.name[2:]}"


def datalist(option: Option) -> dict[str, Any]:
    entries = [
        {"entry_name": word, "entry_value": word, "format": "string", "allowed_roles": None}
        for word in option.choices
    ]
    return {"list_name": list_name(option), "owner": "check_pop3_plus", "entries": entries}


NUMBERS = {option.key: str(number) for number, option in enumerate(option_table(), 1)}
"""By which the objects of the basket name its fields; the Director has numbers of its own."""


def fields(chosen: list[Option], required: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    return [
        {
            "datafield_id": int(NUMBERS[option.key]),
            "is_required": "y" if option.key in required else "n",
            "var_filter": None,
        }
        for option in chosen
    ]


# --- templates and the service set -----------------------------------------------------------


def template(name: str, **properties: object) -> dict[str, Any]:
    return {"object_name": name, "object_type": "template", "fields": [], **properties}


def host_template(table: list[Option]) -> dict[str, Any]:
    return template(
        "pop3-host",
        check_command="dummy",
        max_check_attempts="1",
        fields=fields([option for option in table if option.key in EVERYDAY]),
    )


def service_templates(table: list[Option]) -> list[dict[str, Any]]:
    def everyday(*without: str, required: tuple[str, ...] = ()) -> list[dict[str, Any]]:
        chosen = [o for o in table if o.key in EVERYDAY and o.key not in without]
        return fields(chosen, required)

    return [
        template("pop3-sensitivity", retry_interval="30"),
        *(
            template(
                f"pop3-sensitivity-{preset}",
                imports=["pop3-sensitivity"],
                max_check_attempts=str(attempts + 1),
            )
            for preset, attempts in SENSITIVITIES.items()
        ),
        template(
            "pop3-availability",
            imports=["pop3-sensitivity-high"],
            check_command=COMMAND,
            check_interval="300",
            vars={"pop3_kind": "availability", "pop3_plus_diagnose": True},
            fields=everyday("certificate", "username", "password_file"),
        ),
        template(
            "pop3-login",
            check_command=COMMAND,
            check_interval="900",
            retry_interval="900",
            max_check_attempts="1",
            vars={"pop3_kind": "login", "pop3_timeout_default": 20},
            fields=everyday("certificate"),
        ),
        template(
            "pop3-delivery",
            check_command=COMMAND,
            check_interval="300",
            retry_interval="300",
            max_check_attempts="2",
            vars={"pop3_kind": "delivery", "pop3_timeout_default": 20},
            fields=everyday("certificate"),
        ),
        template(
            "pop3-certificate",
            check_command=COMMAND,
            check_interval="21600",
            retry_interval="300",
            max_check_attempts="3",
            vars={
                "pop3_kind": "certificate",
                "pop3_certificate_default": "25%,10%",
            },
            fields=everyday("username", "password_file"),
        ),
    ]


def service_set() -> dict[str, Any]:
    services = {"POP3": "availability", "POP3 login": "login", "POP3 certificate": "certificate"}
    return {
        "object_name": "POP3",
        "object_type": "template",
        "description": "Availability, login and certificate of a POP3 server. All settings are"
        " variables of the host.",
        "services": {
            name: {
                "object_name": name,
                "object_type": "object",
                "imports": [f"pop3-{kind}"],
                "fields": [],
            }
            for name, kind in services.items()
        },
    }


def basket() -> dict[str, dict[str, Any]]:
    table = option_table()

    def named(objects: list[dict[str, Any]], key: str = "object_name") -> dict[str, Any]:
        return {it[key]: it for it in objects}

    categories = [{"category_name": name, "description": None} for name in map(category, table)]
    return {
        "Command": named([command(table)]),
        "DataList": named([datalist(option) for option in table if option.choices], "list_name"),
        "Datafield": {NUMBERS[option.key]: datafield(option) for option in table},
        "DatafieldCategory": named(categories, "category_name"),
        "HostTemplate": named([host_template(table)]),
        "ServiceSet": named([service_set()]),
        "ServiceTemplate": named(service_templates(table)),
    }


def text(content: Mapping[str, object]) -> str:
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    BASKET.write_text(text(basket()))
