"""Read the INI file of a sweep: one service per section, its options parsed when it is due."""

import re
from collections.abc import Mapping, Sequence

from check_pop3_plus.model.failures import ProbeError, with_origin_of
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.sanitised_text import sanitise
from check_pop3_plus.model.settings import Family, Settings, Sweep
from check_pop3_plus.options import ini, parser, settings_builder, validators
from check_pop3_plus.options.table import ENTRIES, PROGRAM, Given, merge
from check_pop3_plus.options.validators import UsageError, no_password

FILE_LIMIT = 16 << 20
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
    found: list[ini.Part] = []
    common: ini.Section = []
    for part in ini.read_parts(wanted.file, "sweep file", FILE_LIMIT):
        if part.name != COMMON and _is_meant_as_common(part.name):
            raise UsageError("section [{}]: did you mean [DEFAULT]?", part.name)
        if part.name != COMMON:
            found.append(part)
        elif part.errors:
            raise part.errors[0]
        else:
            common += part.options
    if not found:
        raise UsageError("no section [HOST!SERVICE] in {}", wanted.file)
    parsed = _parse(common)
    default, failed = (Given(), parsed) if isinstance(parsed, ProbeError) else (parsed, None)
    seen: dict[str, int] = {}
    services = []
    for part in found:
        if error := _error(part, seen) or failed:
            name = part.name if part.name.isprintable() else sanitise(part.name)
            services.append(Service(name, error=error))
        else:
            services.append(Service(part.name, part.options, default, wanted.common))
    return services


def _is_meant_as_common(name: str) -> bool:
    from check_pop3_plus.options import mistakes

    known = (COMMON, "GLOBAL", "COMMON", "ALL")
    return "!" not in name and bool(mistakes.nearest(name, known))


def _error(part: ini.Part, seen: dict[str, int]) -> ProbeError | None:
    """Return what is wrong with a section; `seen` has the names and lines of those before it."""
    name = part.name
    host, _, description = name.partition("!")
    if part.errors:
        return part.errors[0]
    if not (host and description and name.isprintable()):
        return UsageError("section name is not HOST!SERVICE (or DEFAULT)").at(name)
    if (host, description) != (host.strip(), description.strip()):
        return UsageError("section name has a blank beside the !: no host is called so").at(name)
    if name in seen:
        return UsageError("section exists already, see line {}", seen[name]).at(name)
    seen[name] = name.line
    return None


def address_of(service: Service) -> str:
    """Return the name or address that a service is checked at, as far as its options are valid."""
    layers = (service.commanded, _parse(service.section), service.default)
    for option in ("--connect-to", "--hostname"):
        for layer in layers:
            if not isinstance(layer, ProbeError) and layer.get(option):
                return layer[option][-1].lower()
    return service.host.lower()


class Builder:
    """Builds settings, once for sections that differ in the name of the host alone."""

    def __init__(self) -> None:
        self._built: dict[object, tuple[Settings, Given, Service]] = {}

    def settings_of(self, service: Service) -> Settings | ProbeError:
        """Return the settings of a service, or why it has none."""
        if service.error:
            return service.error
        others = tuple(each for each in service.section if each[0] not in _HOSTNAME)
        if any(key not in _SHARED for key, _ in others):
            return _built(service)[0]
        key = id(service.default), id(service.commanded), others
        if key in self._built:
            settings, given, _ = self._built[key]
            if renamed := _renamed(settings, given, service):
                return renamed
        built, given = _built(service)
        if isinstance(built, Settings):
            if len(self._built) >= _DISTINCT:
                self._built.clear()
            self._built[key] = built, given, service  # so that its parts keep their ids
        return built


_DISTINCT = 64
"""Settings that are kept; a file with more distinct ones gains nothing."""

_HOSTNAME = ("hostname", "--hostname", "H", "-H")

_SHARED = frozenset(
    key
    for entry in ENTRIES
    if entry.value not in ("FILE", "DIR", "CMD", "NAME", "ADDRESS", "URL")
    for flag in entry.flags.split()
    for key in (flag, flag.lstrip("-"))
)
"""Keys that sections may share; a check may report a file or name with the line where it stands."""

_PLAIN_NAME = re.compile(r"[A-Za-z0-9._:-]+")
"""Others are written in another way in the command that repeats the check."""


def _built(service: Service) -> tuple[Settings | ProbeError, Given]:
    """Return the settings of a service, or why it has none; and its options."""
    own = _parse(service.section)
    if isinstance(own, ProbeError):
        return own, Given()
    host = {"--hostname": [with_origin_of(service.name, service.host)]}
    given = merge(host, service.default, own, service.commanded)
    try:
        settings = settings_builder.settings(given)
    except UsageError as error:
        return parser.with_origin(error, given), given
    login = settings.login
    return no_password(login.username) if login and login.lacks_source else settings, given


def _renamed(settings: Settings, given: Given, service: Service) -> Settings | None:
    """Return the settings for a service with the same options; None if they must be built."""
    names = [value for key, value in service.section if key in _HOSTNAME]
    names = names or list(service.default.get("--hostname", ()))
    name = names[-1] if names else with_origin_of(service.name, service.host)
    before, target = given["--hostname"][-1], settings.target
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
            message = "--output is only allowed for a single check"
            raise UsageError(message).at(given.last("--output"))
        return given
    except parser.HelpRequested:
        return UsageError("--help and --version are only allowed on the command line")
    except ProbeError as error:
        return error


def values_in(services: list[Service]) -> dict[str, set[str]]:
    """Return all values of each option in the sections, not checked."""
    found: dict[str, set[str]] = {}
    layers = {
        id(each): each for service in services for each in (service.default, service.commanded)
    }
    for layer in layers.values():
        for option, values in layer.items():
            found.setdefault(option, set()).update(values)
    for service in services:
        for key, value in service.section:
            found.setdefault(key if key[:2] == "--" else f"--{key}", set()).add(value)
    return found
