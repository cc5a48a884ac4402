"""Text to standard output, past Python's buffers.

What they hold is flushed at exit, where a broken pipe would become a message on stderr and exit
code 120.
"""

import os

from check_pop3_plus.model.settings import State


def emit(text: str, state: State) -> int:
    """Write the text, and return the exit code: UNKNOWN where it cannot be written."""
    return state.value if write(text) else State.UNKNOWN.value


def write(text: str) -> bool:
    """Return whether it could be written."""
    data = text.encode("ascii", "replace")
    try:
        while data:
            data = data[os.write(1, data) :]
    except OSError:
        return False
    return True
