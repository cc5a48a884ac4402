"""Build TLS contexts.

Every flag that decides a verdict is set here.
`ssl` is imported where it is needed: a plain check does not pay for it (about 20 ms).
"""

import stat
import warnings

from check_pop3_plus import TYPE_CHECKING
from check_pop3_plus.model.failures import ProbeError, config_error, no_memory
from check_pop3_plus.model.settings import Security, TlsPolicy, Verify
from check_pop3_plus.net import trust_store
from check_pop3_plus.support.files import check_secret_file

if TYPE_CHECKING:
    import ssl


def context(policy: TlsPolicy) -> "ssl.SSLContext":
    """Build the context that decides the verdict, every flag of it set here.

    So the verdict depends neither on the Python version (3.13 adds strict checks to its
    default), nor on the environment: SSL_CERT_FILE, SSL_CERT_DIR and SSLKEYLOGFILE have no
    effect on a context made this way.

    Services with equal policies share one context: loading the trusted certificates takes longer
    than a handshake.

    Raises ProbeError (config) for files that cannot be loaded.
    """
    import ssl

    if known := known_context(policy):
        return known
    try:
        made = _ordinary_context(policy)
    except (ssl.SSLError, ValueError) as error:
        raise no_memory(error) or config_error(
            "the local OpenSSL policy (openssl.cnf) allows no TLS {} or newer", policy.minimum
        ) from error
    if policy.verify is not Verify.NONE:
        trust_store.load(made, policy)
    if policy.client_cert:
        _load_client_certificate(made, policy.client_cert, policy.client_key)
    if len(_contexts) >= _CONTEXTS_LIMIT:
        _contexts.clear()
    _contexts[_shared(policy)] = made
    return made


def known_context(policy: TlsPolicy) -> "ssl.SSLContext | None":
    """Return the context of an equal policy, if one was built before."""
    return _contexts.get(_shared(policy))


def _shared(policy: TlsPolicy) -> TlsPolicy:
    """Return what of a policy a context depends on."""
    return policy.replace(security=Security.IMPLICIT, name="", pins=())


_contexts: "dict[TlsPolicy, ssl.SSLContext]" = {}

_CONTEXTS_LIMIT = 64


def _ordinary_context(policy: TlsPolicy) -> "ssl.SSLContext":
    import ssl

    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = policy.verify is Verify.FULL
    made.verify_mode = ssl.CERT_NONE if policy.verify is Verify.NONE else ssl.CERT_REQUIRED
    made.verify_flags = ssl.VERIFY_X509_TRUSTED_FIRST
    if policy.strict:
        made.verify_flags |= ssl.VERIFY_X509_STRICT
    made.hostname_checks_common_name = False
    _allow_old_versions()
    made.minimum_version = _version(policy.minimum)
    made.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
    # Level 2: RSA 2048, EC 224 and SHA-256 at least. TLS 1.1 signs its handshake with
    # MD5 and SHA-1, which only level 0 allows; `certificate` then checks the strength.
    ciphers = "DEFAULT"
    if policy.cert_type:
        made.minimum_version = made.maximum_version = ssl.TLSVersion.TLSv1_2
        ciphers = f"a{policy.cert_type.upper()}:!COMPLEMENTOFDEFAULT:!eNULL"
    made.set_ciphers(f"{ciphers}:@SECLEVEL={0 if policy.minimum == '1.1' else 2}")
    return made


def legacy_context(only: str | None = None) -> "ssl.SSLContext":
    """Build a context that shakes hands with anything, or offers `only` one of the old versions.

    For a handshake only: nothing is sent over the connection.
    """
    import ssl

    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    _allow_old_versions()
    made.minimum_version = _version(only or "1.0")
    if only:
        made.maximum_version = _version(only)
    made.set_ciphers("ALL:@SECLEVEL=0")
    made.options |= _OP_LEGACY_SERVER_CONNECT
    return made


def asking_context(seen: list[bool]) -> "ssl.SSLContext":
    """Build a legacy context that adds to `seen` when the server requests a client certificate.

    Only the message callback tells it, which `ssl` has for debugging (from Python 3.8 on); without
    it nothing is ever seen.
    """

    def read(_1: object, direction: str, _2: object, content: int, message: int, _3: bytes) -> None:
        if (direction, content, message) == ("read", _HANDSHAKE, _CERTIFICATE_REQUEST):
            seen.append(True)

    made = legacy_context()
    made._msg_callback = read  # type: ignore[attr-defined]
    return made


_HANDSHAKE, _CERTIFICATE_REQUEST = 22, 13  # RFC 8446 section B

_OP_LEGACY_SERVER_CONNECT = 0x4
"""Without it OpenSSL 3 refuses servers that do not know RFC 5746; `ssl` names it from 3.12 on."""


def can_offer(version: str) -> bool:
    """Return whether the TLS library here can offer an old version and nothing newer.

    It may have been built without it, or a policy of the system may disable it. The version in the
    ClientHello shows it (RFC 5246 section 7.4.1.2: type, length, version).
    """
    import ssl

    sent = ssl.MemoryBIO()
    try:
        legacy_context(version).wrap_bio(ssl.MemoryBIO(), sent).do_handshake()
    except ssl.SSLWantReadError:
        return sent.read()[9:11] == _version(version).to_bytes(2, "big")
    except (OSError, ValueError):
        pass
    return False


def _allow_old_versions() -> None:
    """Ignore the deprecation warnings for old versions, which are used on purpose.

    PYTHONWARNINGS would turn them into errors. Never undone: threads share the filters.
    """
    warnings.filterwarnings("ignore", r"ssl\.TLSVersion\.", DeprecationWarning)


def _version(number: str) -> "ssl.TLSVersion":
    """Return OpenSSL's constant for `1.0` to `1.3`: the version's two bytes on the wire."""
    import ssl

    return ssl.TLSVersion(0x0301 + int(number.removeprefix("1.")))


def _load_client_certificate(made: "ssl.SSLContext", cert: str, key: str | None) -> None:
    for path, what in ((cert, "client certificate"), (key, "client key")):
        if path:
            trust_store.require(path, stat.S_ISREG, what)
    try:
        # A wrong passphrase: without one OpenSSL would prompt on the terminal.
        made.load_cert_chain(cert, key, password=lambda: "")
    except (OSError, ValueError) as error:
        raise _unusable(cert, key, error) from error
    check_secret_file(key or cert, "client key")


def _unusable(cert: str, key: str | None, error: Exception) -> ProbeError:
    """Return the reason for an unusable client certificate, more precise than OpenSSL's."""
    if short := no_memory(error):
        return short
    what = "cannot load client certificate {}"
    if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
        return config_error(what + ": the key does not belong to it", cert)
    if getattr(error, "reason", None) in _TOO_WEAK:
        return config_error(what + ": it is too weak for TLS (key or signature)", cert)
    if hasattr(error, "library"):
        hint = ": no certificate in it, or no private key in {} (--client-key)"
        return config_error(what + hint, cert, key or cert)
    return config_error(what, cert, cause=error)


_TOO_WEAK = ("EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK")
