"""Read the INI file of a sweep: one service per section, its options parsed when it is due."""

import re
from collections.abc import Mapping, Sequence

from check_pop3_plus.model.failures import ProbeError
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.sanitised_text import sanitise
from check_pop3_plus.model.settings import Family, Settings, Sweep
from check_pop3_plus.options import ini, parser, settings_builder, validators
from check_pop3_plus.options.table import PROGRAM, Given, merge
from check_pop3_plus.options.validators import UsageError
from check_pop3_plus.support import files

FILE_LIMIT = 16 * 1024 * 1024
"""Bytes; 10,000 services have about 2 MiB."""

COMMON = "DEFAULT"
"""The section whose options come first in all others."""


class Service(Record):
    """One section: a service to check."""

    name: str
    """As in the file: `host!service`."""
    section: Sequence[tuple[str, str]] = ()
    default: Mapping[str, Sequence[str]] = {}
    """Options of the section DEFAULT; those of `section` override them."""
    commanded: Mapping[str, Sequence[str]] = {}
    """Options of the command line; they override all others."""
    error: ProbeError | None = None
    """Why the section cannot be read."""

    @property
    def host(self) -> str:
        """The name of the host in the monitoring system."""
        return self.name.partition("!")[0]

    @property
    def description(self) -> str:
        """The name of the service in the monitoring system."""
        return self.name.partition("!")[2]


def read(wanted: Sweep) -> list[Service]:
    """Return the services of the file of a sweep, in its order.

    Raises ProbeError (config) when it cannot be read, or holds none.
    """
    data = files.read_file(wanted.file, "sweep file", FILE_LIMIT, has_options=True)
    content = data.decode("utf-8", "surrogateescape")
    found: list[ini.Part] = []
    common: ini.Section = []
    for part in ini.parts(content, wanted.file):
        if part.name != COMMON and part.name.upper() == COMMON:
            message = "{}, line {}: section [{}]: did you mean [DEFAULT]?"
            raise UsageError(message, wanted.file, part.line, part.name)
        if part.name != COMMON:
            found.append(part)
        elif part.errors:
            raise part.errors[0]
        else:
            common += part.options
    if not found:
        raise UsageError("no section [HOST!SERVICE] in {}", wanted.file)
    default = _parse(common)
    seen: set[str] = set()
    return [_service(part, default, wanted.common, seen) for part in found]


def _service(
    part: ini.Part,
    default: Given | ProbeError,
    commanded: Mapping[str, Sequence[str]],
    seen: set[str],
) -> Service:
    name = part.name
    host, _, description = name.partition("!")
    error = part.errors[0] if part.errors else None
    if error is None and not (host and description and name.isprintable()):
        error = UsageError("section name is not HOST!SERVICE (or DEFAULT)")
    if error is None and name in seen:
        error = UsageError("duplicate section")
    if error is None:
        seen.add(name)
        if not isinstance(default, ProbeError):
            return Service(name, part.options, default, commanded)
        error = default
    return Service(name if name.isprintable() else sanitise(name), error=error)


def address_of(service: Service) -> str:
    """Return the name or address that a service is checked at, as far as its options are valid."""
    for option in ("--connect-to", "--hostname"):
        for layer in (service.commanded, _parse(service.section), service.default):
            if not isinstance(layer, ProbeError) and layer.get(option):
                return layer[option][-1].lower()
    return service.host.lower()


def settings_of(service: Service) -> Settings | ProbeError:
    """Return the settings of a service, or why it has none."""
    return Builder().settings_of(service)


class Builder:
    """Builds settings, once for sections that differ in the name of the host alone."""

    def __init__(self) -> None:
        self._built: dict[object, tuple[Settings, Given, Service]] = {}

    def settings_of(self, service: Service) -> Settings | ProbeError:
        """Return the settings of a service, or why it has none."""
        if service.error:
            return service.error
        names = [value for key, value in service.section if key in _HOSTNAME]
        others = tuple(each for each in service.section if each[0] not in _HOSTNAME)
        key = id(service.default), id(service.commanded), others
        if key in self._built:
            settings, given, _ = self._built[key]
            name = (names or service.default.get("--hostname") or [service.host])[-1]
            if found := _renamed(settings, given, name):
                return found
        own = _parse(service.section)
        if isinstance(own, ProbeError):
            return own
        given = merge({"--hostname": [service.host]}, service.default, own, service.commanded)
        try:
            settings = settings_builder.settings(given)
        except UsageError as error:
            return parser.placed(error, given)
        except ProbeError as error:
            return error
        if len(self._built) >= _DISTINCT:
            self._built.clear()
        if own.get("--hostname", []) == names:  # not where a key is written in another way
            self._built[key] = settings, given, service  # kept, so that its parts keep their ids
        return settings


_DISTINCT = 64
"""Settings that are kept; files with more distinct ones gain nothing."""

_HOSTNAME = ("hostname", "--hostname", "H", "-H")

_PLAIN_NAME = re.compile(r"[A-Za-z0-9._:-]+")
"""Others are written in another way in the command that repeats the check."""


def _renamed(settings: Settings, given: Given, name: str) -> Settings | None:
    """Return the settings of the same options with another host name; None to build them anew."""
    before = given["--hostname"][-1]
    target = settings.target
    if not (_PLAIN_NAME.fullmatch(name) and _PLAIN_NAME.fullmatch(before)) or (
        target.family is not Family.ANY and target.connect_to is None
    ):
        return None
    try:
        host = validators.host(name, "--hostname")
    except UsageError:
        return None
    trip, begin = settings.round_trip, f"{PROGRAM} -H "
    if trip and "--round-trip-id" not in given:  # the default one ends with the name
        trip = trip.replace(id=trip.id.removesuffix(target.hostname) + host)
    return settings.replace(
        target=target.replace(hostname=host),
        tls=settings.tls if "--sni" in given else settings.tls.replace(name=host),
        round_trip=trip,
        command=settings.command and begin + name + settings.command[len(begin + before) :],
    )


def _parse(section: Sequence[tuple[str, str]]) -> Given | ProbeError:
    try:
        given = parser.read_section(section)
        if "--output" in given:
            raise UsageError("--output is only allowed for a single check")
        return given
    except parser.HelpRequested:
        return UsageError("--help and --version are only allowed on the command line")
    except ProbeError as error:
        return error


def options_of(services: list[Service]) -> set[str]:
    """Return the names of all options in the sections, not checked."""
    names: set[str] = set()
    for service in services:
        names.update(service.default, service.commanded)
        names.update(key if key[:2] == "--" else f"--{key}" for key, _ in service.section)
    return names


def values_of(services: list[Service], option: str) -> set[str]:
    """Return all values of an option in the sections, not checked."""
    values: set[str] = set()
    for service in services:
        for layer in (service.default, service.commanded):
            values.update(layer.get(option, ()))
        values.update(value for key, value in service.section if key in (option, option[2:]))
    return values
