"""Run the plugin of a bundle, if this is the Python that the bundle was made for.

`kind` prints what a bundle made by this interpreter fits. Python 3.6 must be able to read this.
"""

import os
import sys


def kind():
    """Return minor version, architecture and C library, as in python3.11-x86_64-glibc."""
    try:
        libc = (os.confstr("CS_GNU_LIBC_VERSION") or "other").split()[0]
    except ValueError:
        libc = "musl"
    return f"python3.{sys.version_info[1]}-{os.uname().machine}-{libc}"


def unknown(reason):
    """Print a reason as a plugin does, and end."""
    os.write(1, f"POP3 UNKNOWN - config: {reason}\nkind: config\n".encode("ascii", "replace"))
    os._exit(3)


if sys.argv[1] == "kind":
    print(kind())
else:
    if kind() != sys.argv[2]:
        unknown(f"this archive is for {sys.argv[2]}, this is {kind()}: take the one for it")
    library = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, library)
    # The plugin sees its own name and options.
    sys.argv[:3] = [os.path.join(os.path.dirname(library), "check_pop3_plus")]
    try:
        from check_pop3_plus.start import run
    except Exception as error:
        unknown(f"the archive is damaged: {type(error).__name__}: unpack it again")
    run()
