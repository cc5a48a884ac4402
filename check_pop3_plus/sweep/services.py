"""Read the INI file of a sweep: one service per section, its options parsed when it is due."""

from check_pop3_plus.model.failures import ProbeError
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.sanitised_text import sanitise
from check_pop3_plus.model.settings import Settings, Sweep
from check_pop3_plus.options import ini
from check_pop3_plus.options import parser as options_parser
from check_pop3_plus.options.table import Asked, parser
from check_pop3_plus.options.validators import UsageError
from check_pop3_plus.support import files

FILE_LIMIT = 16 * 1024 * 1024
"""Bytes; 10,000 services have about 2 MiB."""

COMMON = "DEFAULT"
"""The section whose options come first in all others."""

_TABLE = parser()


class Service(Record):
    """One section: a service to check."""

    name: str
    """As in the file: `host!service`."""
    words: tuple[str, ...]
    """Its options, as on a command line."""
    error: ProbeError | None = None
    """Why the section cannot be read."""

    @property
    def host(self) -> str:
        return self.name.partition("!")[0]

    @property
    def description(self) -> str:
        """What the monitoring system calls the service on that host."""
        return self.name.partition("!")[2]


def read(wanted: Sweep) -> list[Service]:
    """Return the services of the file of a sweep, in its order.

    Raises ProbeError (config) when it cannot be read, or holds none.
    """
    data = files.read_file(wanted.file, "sweep file", FILE_LIMIT)
    content = data.decode("utf-8", "surrogateescape")
    found: list[ini.Part] = []
    common: list[str] = []
    for part in ini.parts(content, wanted.file):
        if part.name != COMMON:
            found.append(part)
        elif part.errors:
            raise part.errors[0]
        else:
            common += options_parser.section_to_argv(part.options)
    if not found:
        raise UsageError(f"no section [HOST!SERVICE] in {sanitise(wanted.file)}")
    seen: set[str] = set()
    return [_service(part, common, wanted.common, seen) for part in found]


def _service(
    part: ini.Part, common: list[str], commanded: tuple[str, ...], seen: set[str]
) -> Service:
    name = part.name
    host, _, description = name.partition("!")
    words = [f"--hostname={host}", *common]
    try:
        if part.errors:
            raise part.errors[0]
        if not host or not description or not name.isprintable():
            raise UsageError("the section is not called [HOST!SERVICE]")
        if name in seen:
            raise UsageError("the file has several sections of this name")
        seen.add(name)
        words += options_parser.section_to_argv(part.options)
    except ProbeError as error:
        return Service(name if name.isprintable() else sanitise(name), (), error)
    return Service(name, (*words, *commanded))


def settings_of(service: Service) -> Settings | ProbeError:
    """Return the settings of a service, or why it has none."""
    if service.error:
        return service.error
    try:
        return options_parser.parse(service.words, _TABLE)
    except Asked:
        return UsageError("--help and --version are for the command line")
    except ProbeError as error:
        return error


def password_variables(services: list[Service]) -> set[str]:
    """Return the names of all environment variables that hold passwords."""
    option = "--password-env="
    words = (word for service in services for word in service.words)
    return {word.removeprefix(option) for word in words if word.startswith(option)}
