"""Read the INI file of a sweep: one service per section, its options parsed when it is due."""

from collections.abc import Mapping, Sequence

from check_pop3_plus.model.failures import ProbeError, at_place_of
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.sanitised_text import sanitise
from check_pop3_plus.model.settings import Settings, Sweep
from check_pop3_plus.options import ini, parser, settings_builder
from check_pop3_plus.options.table import Given, merge
from check_pop3_plus.options.validators import UsageError, no_password
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
            raise UsageError("section [{}]: did you mean [DEFAULT]?", part.name)
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
        error = UsageError("section name is not HOST!SERVICE (or DEFAULT)").at(name)
    if error is None and name in seen:
        error = UsageError("duplicate section").at(name)
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
    if service.error:
        return service.error
    own = _parse(service.section)
    if isinstance(own, ProbeError):
        return own
    host = {"--hostname": [at_place_of(service.name, service.host)]}
    given = merge(host, service.default, own, service.commanded)
    try:
        settings = settings_builder.settings(given)
        login = settings.login
        return no_password(login.username) if login and login.lacks_source else settings
    except UsageError as error:
        return parser.placed(error, given)
    except ProbeError as error:
        return error


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
