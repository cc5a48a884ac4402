"""Find and load the trusted certificates, and report a source that yields none.

The names of a hashed directory are no promise: in a container its links may dangle, and files may
be readable by root alone. Every server would then be reported as untrusted.
"""

import os
import re
import stat
from collections.abc import Callable
from itertools import islice

from check_pop3_plus import TYPE_CHECKING
from check_pop3_plus.model.failures import ProbeError, config_error, is_shortage, no_memory
from check_pop3_plus.model.settings import TlsPolicy

if TYPE_CHECKING:
    import ssl

SIZE_LIMIT = 4 * 1024 * 1024
"""Bytes of a file of certificates: OpenSSL reads it in one call that no signal ends. Bundles of
distributions have 220,000."""

_HASHED = r"[0-9a-f]{8}\.[0-9]+"
"""A name in a hashed directory (openssl-rehash)."""


def load(made: "ssl.SSLContext", policy: TlsPolicy) -> None:
    """Load the trusted certificates that a policy names, or those of the system.

    Raises ProbeError (config) if one of its sources yields none.
    """
    cafile, capath = policy.ca_file, policy.ca_path
    # Checked first: OpenSSL would wait for a writer on a FIFO.
    if cafile:
        require(cafile, stat.S_ISREG, "CA file")
    if capath:
        require(capath, stat.S_ISDIR, "CA directory")
        if not _usable(capath) and not _is_searchable_only(capath):
            raise _nothing_in(capath)
    if not cafile and not capath:
        cafile, capath = system()
    try:
        made.load_verify_locations(cafile, capath)
    except OSError as error:
        if not hasattr(error, "library"):  # not an ssl.SSLError, about its content
            raise config_error("cannot load CA file {}", cafile or capath, cause=error) from error
        message = "CA file {} holds no certificate in PEM, or an invalid one"
        raise no_memory(error) or config_error(
            message + _format(cafile), cafile or capath
        ) from error
    if cafile and not made.cert_store_stats()["x509"]:
        raise config_error("no usable CA certificate in CA file {}", cafile)


def _format(path: str | None) -> str:
    """Return the cure if a file has certificates, but in another format than PEM."""
    with open(path or os.devnull, "rb") as file:
        head = file.read(_HEAD_SIZE)
    if head.startswith(b"\x30"):  # a SEQUENCE
        return "; convert it from DER: openssl x509 -inform DER"
    if b"BEGIN PKCS7" in head:
        return "; convert it: openssl pkcs7 -print_certs"
    other = re.search(rb"-----BEGIN ((?!CERTIFICATE-)[A-Z0-9 ]{3,40})-----", head)
    return f"; it holds: {other[1].decode()}" if other else ""


_WHOLE_STORE = 30
"""Hashed certificates that make a directory a store by itself: distributions trust over 100."""


def system() -> tuple[str | None, str | None]:
    """Return the system's CA file and directory, or only one of them if that is enough.

    A hashed directory is preferred: OpenSSL then reads the one certificate that it needs, not a
    bundle of 144 (20 to 34 ms). But a few hashed certificates only add to a bundle. The paths
    compiled into OpenSSL come first, not those of the environment; then where distributions
    keep them, for a Python that brings an OpenSSL of its own.

    Raises ProbeError (config) if neither yields a certificate.
    """
    import ssl

    compiled = ssl.get_default_verify_paths()
    directories = (compiled.openssl_capath, "/etc/ssl/certs", "/etc/pki/tls/certs")
    usable = {directory: _usable(directory) for directory in directories}
    fullest = max(usable, key=lambda directory: usable[directory])
    if usable[fullest] >= _WHOLE_STORE:
        return None, fullest
    files = (
        compiled.openssl_cafile,
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/ssl/cert.pem",
    )
    bundle = next((file for file in files if _holds_certificate(file)), None)
    if bundle is None and not usable[fullest]:
        raise config_error("no usable CA certificate in the system trust store; use --ca-file")
    return bundle, fullest if usable[fullest] else None


def described() -> str:
    """Return the paths of the system's CA file and directory that `system` chooses."""
    try:
        return " and ".join(filter(None, system()))
    except ProbeError:
        return "none found"


def _usable(directory: str) -> int:
    """Return how many hashed files can be read, as far as that makes a whole store.

    0 if none of them is a certificate. Where all is well a single file is opened.
    """
    try:
        with os.scandir(directory) as entries:
            names = [each.path for each in entries if re.fullmatch(_HASHED, each.name)]
    except OSError as error:
        if is_shortage(error):
            raise
        return 0
    readable = list(islice((each for each in names if os.access(each, os.R_OK)), _WHOLE_STORE))
    return len(readable) if any(map(_holds_certificate, readable)) else 0


def _is_searchable_only(directory: str) -> bool:
    """Return whether names cannot be listed but files be opened (mode 0711): OpenSSL needs this."""
    return os.access(directory, os.X_OK) and not os.access(directory, os.R_OK)


_BEGIN = rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----"
_HEAD_SIZE = 64 * 1024
"""Bytes in which the first certificate begins, after comments."""


def _holds_certificate(path: str) -> bool:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        with open(path, "rb") as file:
            return bool(re.search(_BEGIN, file.read(_HEAD_SIZE)))
    except (OSError, ValueError) as error:
        if is_shortage(error):
            raise
        return False


def has_certificate(path: str | None, der: bytes) -> bool:
    """Return whether a CA file has a certificate, which OpenSSL only tells of CAs."""
    from base64 import b64encode

    if path is None:
        return False
    try:
        with open(path, "rb") as file:
            return b64encode(der) in b"".join(file.read(SIZE_LIMIT).split())
    except OSError:  # read before, and gone
        return False


def _nothing_in(directory: str) -> ProbeError:
    """Return why a directory yields no certificate."""
    template = "no usable CA certificate in CA directory {}: "
    try:
        names = os.listdir(directory)
    except OSError as error:
        return config_error("cannot read CA directory {}", directory, cause=error)
    if number := sum(bool(re.fullmatch(_HASHED, name)) for name in names):
        what = "its hashed names ({}) are broken links or unreadable"
        return config_error(template + what, directory, number)
    what = "it has no hashed names (run: openssl rehash)" if names else "it is empty"
    return config_error(template + what, directory)


_INSTEAD = {"CA file": "; use --ca-path", "CA directory": "; use --ca-file"}


def require(path: str, is_kind: Callable[[int], bool], what: str) -> None:
    """Raise ProbeError (config) unless a path is of this kind, and not larger than the limit."""
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:
        raise config_error("cannot load {} {}", what, path, cause=error) from error
    if not is_kind(found.st_mode):
        is_other = stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)
        instead = _INSTEAD.get(what, "") if is_other else ""
        raise config_error("cannot load {} {}: not of the right file type" + instead, what, path)
    if stat.S_ISREG(found.st_mode) and found.st_size > SIZE_LIMIT:
        raise config_error("cannot load {} {}: larger than {} bytes", what, path, SIZE_LIMIT)
