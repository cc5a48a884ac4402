"""The external network tools of a diagnosis: ping, mtr or traceroute, dig.

They run without a shell, from directories that only the administrator can write to, with an
environment that holds nothing of ours. `support/programs` bounds their time and output.
"""

import os
import re

from check_pop3_plus.model.record import Record
from check_pop3_plus.support.deadline import Deadline
from check_pop3_plus.support.programs import Output, Programs

DIRECTORIES = ("/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/local/sbin")
"""Not PATH, which would let its owner choose what runs here; and the PATH of monitoring daemons
often lacks the directories of mtr and traceroute."""

OUTPUT_LIMIT = 8 * 1024
"""Bytes; a report of mtr over 30 hops has about 3,000."""

# An address (with an interface number), or a name that no program takes for an option.
_TARGET = re.compile(r"[0-9A-Fa-f:.]{2,45}(?:%[0-9]{1,9})?|[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}")


class Tool(Record):
    """How one program is called; the target is its last argument."""

    options: str
    """Separated by spaces."""
    source_option: str | None = None
    """The option that takes the local address."""
    is_about_name: bool = False
    """Whether the target is the host name, not the address."""

    def arguments(self, target: str, source: str | None = None) -> list[str]:
        """Return the arguments; `source` is the local address to use.

        Raises ValueError for a target or source that is neither an address nor a name. That is a
        bug: `options` has checked both.
        """
        for value in (target, source):
            if value is not None and not _TARGET.fullmatch(value):
                raise ValueError("not a target")
        bound = [self.source_option, source] if self.source_option and source else []
        return [*self.options.split(), *bound, target]


TOOLS = {
    "ping": Tool("-n -q -c 4 -i 0.3 -w 3", "-I"),
    "mtr": Tool("--no-dns --report --report-wide --report-cycles 3 --gracetime 1", "--address"),
    "traceroute": Tool("-n -q 1 -w 1 -m 20", "-s"),
    "dig": Tool(
        "+tries=1 +time=2 +noall +comments +answer +authority +stats -t A -q", is_about_name=True
    ),
}


def find(name: str) -> str | None:
    paths = (f"{directory}/{name}" for directory in DIRECTORIES)
    return next((path for path in paths if os.access(path, os.X_OK)), None)


def run_tool(programs: Programs, command: list[str], deadline: Deadline) -> Output:
    """Run a tool and return what it prints on standard output and standard error.

    Raises ProbeError (config) when it cannot be started.
    """
    env = {"PATH": ":".join(DIRECTORIES), "LC_ALL": "C"}
    return programs.run(command, deadline, OUTPUT_LIMIT, env=env, cwd="/", merge_stderr=True)
