"""How a run ends otherwise than by a verdict: by a signal, or by an error of ours.

In a module of its own, with no imports, so that a signal at any time finds it whole, and an error
can be named where no descriptor or memory is left.
"""


class Stopped(BaseException):
    """A signal asked the run to end. Not an Exception, so that no guard swallows it."""


def uncaught(error: BaseException) -> tuple[str, str]:
    """Return the kind and the message of an error that no check expects.

    Without the text of the exception, which may quote a secret.
    """
    if library := library_fault(error):
        return "config", library
    if isinstance(error, (OSError, MemoryError)):  # no descriptor for an import, no memory
        reason = getattr(error, "strerror", None) or type(error).__name__
        return "config", f"local error: {reason}"
    return "bug", f"internal error ({type(error).__name__})"


def library_fault(error: BaseException) -> str | None:
    """Return which Python module is missing, or has not what is used of it, or None."""
    if isinstance(error, ModuleNotFoundError):
        return f"missing Python module {error.name or 'unknown'}"
    if isinstance(error, ImportError):
        name = _package(error.name or "unknown")
        if "failed to map" in str(error):  # ENOMEM of mmap(2), in the words of ld.so
            return f"not enough memory here to load the Python module {name}"
    elif isinstance(error, AttributeError):  # of a module, or of an object or class from there
        home = getattr(error.obj, "__module__", None) or getattr(error.obj, "__name__", "")
        name = _package(str(home))
        if name not in ("nagiosplugin", "cryptography"):
            return None
    else:
        return None
    return f"Python module {name} is too old or broken: update it"


def _package(module: str) -> str:
    return module.partition(".")[0]
