"""Other programs that tell something of the network: ping, mtr or traceroute, dig.

Started without a shell, from folders that only the administrator can write to, with an
environment that holds nothing of ours. What they print is bounded; a program that is late, or
prints without end, is ended with its children.
"""

import os
import re
from collections.abc import Sequence

from check_pop3_plus.support.deadline import Deadline
from check_pop3_plus.support.programs import Output, Programs

FOLDERS = ("/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/local/sbin")
"""Not PATH: whoever sets it would choose what runs here, and the daemons of monitoring systems
often have one without the folders that mtr and traceroute are in."""

OUTPUT_LIMIT = 8 * 1024
"""Octets; a report of mtr over 30 hops has about 3,000."""

# An address (with the number of its interface), or a name that no program takes for an option.
_TARGET = re.compile(r"[0-9A-Fa-f:.]{2,45}(?:%[0-9]{1,9})?|[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}")


def find(name: str) -> str | None:
    """Return the path of an installed program."""
    paths = (f"{folder}/{name}" for folder in FOLDERS)
    return next((path for path in paths if os.access(path, os.X_OK)), None)


def arguments(name: str, target: str, source: str | None = None) -> list[str]:
    """Return how a program is called for a target; `source` is the local address to use.

    Raises ValueError for what is neither an address nor a name: ours, `options` has checked it.
    """
    for value in (target, source):
        if value is not None and not _TARGET.fullmatch(value):
            raise ValueError("not a target")
    match name:
        case "ping":
            options = ["-n", "-q", "-c", "4", "-i", "0.3", "-w", "3"]
            return [*options, *(("-I", source) if source else ()), target]
        case "mtr":
            options = ["--no-dns", "--report", "--report-wide"]
            options += ["--report-cycles", "3", "--gracetime", "1"]
            return [*options, *(("--address", source) if source else ()), target]
        case "traceroute":
            options = ["-n", "-q", "1", "-w", "1", "-m", "20"]
            return [*options, *(("-s", source) if source else ()), target]
        case "dig":
            parts = ["+noall", "+comments", "+answer", "+authority", "+stats"]
            return ["+tries=1", "+time=2", *parts, "-q", target, "-t", "A"]
    raise ValueError(name)


class Tools(Programs):
    """Runs the tools, from several threads, and can kill all of them."""

    def run_tool(self, path: str, options: Sequence[str], deadline: Deadline) -> Output:
        """Return what a program prints on both of its outputs.

        Raises ProbeError (config) when it cannot be started.
        """
        env = {"PATH": ":".join(FOLDERS), "LC_ALL": "C"}
        return self.run(
            [path, *options], deadline, OUTPUT_LIMIT, env=env, cwd="/", merge_stderr=True
        )
