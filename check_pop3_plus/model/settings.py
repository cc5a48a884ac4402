"""The checked settings of a run. `options/settings_builder` makes them, one for each service."""

from collections.abc import Mapping, Sequence
from enum import Enum

from check_pop3_plus import TYPE_CHECKING
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.sanitised_text import Printable

if TYPE_CHECKING:
    from datetime import timedelta


class Secret:
    """A password or token that cannot be printed by accident."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """Return the secret itself, to be sent or masked; a house rule lists who may call it."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise TypeError("a secret cannot be pickled")


class Security(Enum):
    """How the connection is secured."""

    PLAIN = "plain"
    IMPLICIT = "ssl"
    STLS = "starttls"


class Verify(Enum):
    """How the certificate is verified before the first POP3 byte."""

    FULL = "full"
    CHAIN = "chain"
    NONE = "none"


class Family(Enum):
    ANY = "any"
    IPV4 = "ipv4"
    IPV6 = "ipv6"


class State(Enum):
    """The states of the plugin guidelines; the value is the exit code."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


class Target(Record):
    hostname: str
    port: int
    family: Family = Family.ANY
    connect_to: str | None = None
    source_address: str | None = None
    all_addresses: bool = False
    """Whether all addresses of the host are checked in parallel."""
    min_addresses: int | None = None
    """Number of addresses that must work; None means all."""


class TlsPolicy(Record):
    security: Security = Security.PLAIN
    verify: Verify = Verify.FULL
    name: str = ""
    """Sent as SNI and verified: `--sni`, else the host name."""
    minimum: str = "1.2"
    ca_file: str | None = None
    ca_path: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    strict: bool = False
    """Whether OpenSSL's strict checks (RFC 5280) are part of the verification."""
    cert_type: str | None = None
    """`rsa` or `ecdsa`: TLS 1.2 alone, with ciphers for certificates of this key type."""
    pins: tuple[str, ...] = ()
    """SHA-256 of the certificate or of its public key, in hexadecimal; one must match."""


class HttpsEndpoint(Record):
    """An HTTPS URL: of the token endpoint or of the Icinga API."""

    host: str
    port: int
    path: str
    """With the query, if there is one."""

    @property
    def authority(self) -> str:
        """Host, and port if it is not 443, as in a URL and a Host field."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 443 else f"{host}:{self.port}"


class Grant(Record):
    """How a token is fetched: by the refresh token if there is one, else by the client credentials
    (RFC 6749 sections 6 and 4.4)."""

    endpoint: HttpsEndpoint
    client_id: str
    client_secret_file: str | None = None
    refresh_token_file: str | None = None
    scope: str | None = None
    ca_file: str | None = None
    """Trusted for the endpoint only, instead of the system trust store."""


class SecretSource(Record):
    """Where the secret comes from: at most one field is set; with none, a prompt."""

    file: str | None = None
    env: str | None = None
    command: str | None = None
    grant: Grant | None = None


POP3_METHODS = ("user", "apop")
"""Login methods older than CAPA, which do not depend on it."""

TOKEN_METHODS = ("xoauth2", "oauthbearer")
"""Login methods that send an OAuth token in place of a password."""

LOGIN_METHODS = (
    *POP3_METHODS,
    "plain",
    "login",
    "cram-md5",
    "scram-sha-1",
    "scram-sha-256",
    "external",
    *TOKEN_METHODS,
)
"""All values of `--auth` except `auto`. Listed here because `sasl/mechanisms` is loaded only
for a login; a test holds it equal to this list."""


class Login(Record):
    username: str
    source: SecretSource
    mechanism: str = "auto"
    allow_insecure: bool = False

    @property
    def needs_secret(self) -> bool:
        """Whether a secret is sent: with EXTERNAL the client certificate authenticates."""
        return self.mechanism != "external"

    @property
    def lacks_source(self) -> bool:
        """Whether no source of a secret is given that is needed."""
        return self.needs_secret and self.source == SecretSource()

    @property
    def needs_capabilities(self) -> bool:
        """Whether the method depends on the capabilities of the server."""
        return self.mechanism not in POP3_METHODS


class Limits(Record):
    """Time limits in seconds, counted from the start of the program, and the number of retries."""

    timeout: float = 10.0
    """Of one attempt; at most `run_timeout`."""
    run_timeout: float = 10.0
    """Of all attempts, the pauses between them, and the diagnosis."""
    rechecks: int = 0
    """Retries before a failure is reported."""


class Subject(Enum):
    """A topic of the diagnosis; the value is its name in `--diagnose`."""

    DNS = "dns"
    TCP = "tcp"
    TLS = "tls"
    DIALOG = "dialog"
    PING = "ping"
    TRACE = "trace"


class Expectation(Record):
    """Texts that the greeting must contain: one of them, or all."""

    texts: tuple[str, ...] = ()
    all: bool = False

    def missing_in(self, greeting: bytes) -> list[str]:
        """Return the texts that a greeting lacks."""
        return [
            text for text in self.texts if text.encode("utf-8", "surrogateescape") not in greeting
        ]


class Assertions(Record):
    """Requirements on the server and its certificate."""

    capabilities: tuple[tuple[str, str | None], ...] = ()
    """Tags, each with the argument it must have (`SASL=PLAIN`) or None; upper case."""
    refuses_cleartext: bool = False
    tries_cleartext: bool = False
    """Whether a login is tried, where none is offered: it may count as an attack (fail2ban)."""
    resists_injection: bool = False
    rejects_legacy_tls: bool = False
    issuer: str | None = None
    """Text that the name of some issuer in the chain must contain."""
    deployed_file: str | None = None
    """PEM file with the certificate that the server must send."""
    min_key_bits: int | None = None
    max_validity: float | None = None
    """Maximum lifetime of the certificate in days."""
    cert_types: tuple[str, ...] = ()
    """Key types whose certificates are checked, too: `rsa`, `ecdsa`; a single one must exist."""


class Remaining(Record):
    """A certificate threshold: minimum remaining time in days, as a share of the lifetime, or the
    smaller of the two."""

    days: float | None = None
    share: float | None = None

    def in_days(self, lifetime: "timedelta | None") -> float | None:
        """Return it in days for a certificate of this lifetime; if unknown, without the share."""
        limits = [] if self.days is None else [self.days]
        if self.share is not None and lifetime is not None:
            limits.append(self.share * (lifetime.total_seconds() / 86400))
        return min(limits, default=None)


class RangePair(Record):
    """Ranges of the plugin guidelines as checked text; None where not given."""

    warning: str | None = None
    critical: str | None = None


class Thresholds(Record):
    time: RangePair = RangePair()
    phases: Mapping[str, RangePair] = {}
    messages: RangePair = RangePair()
    size: RangePair = RangePair()
    newest: RangePair = RangePair()
    """Of the age of the newest message in seconds; `oldest` likewise."""
    oldest: RangePair = RangePair()
    certificate_warning: Remaining | None = None
    certificate_critical: Remaining | None = None

    @property
    def need_headers(self) -> bool:
        """Whether the headers of messages are read, for their dates."""
        return RangePair() != self.newest or RangePair() != self.oldest


class Smtp(Record):
    """The server that takes the probes of a round trip."""

    target: Target
    sender: str
    tls: TlsPolicy = TlsPolicy()
    helo: str | None = None
    """The name in EHLO; None: the address literal of the connection."""
    login: Login | None = None


class RoundTrip(Record):
    """A round trip by SMTP and POP3."""

    recipient: str
    key_file: str
    """A key that signs the probes, and in a second line an older one that only verifies."""
    id: str
    """Tells probes of several monitors apart."""
    smtp: Smtp | None = None
    """None if something else sends the probes."""
    wait: float = 0.0
    """Seconds to wait for the probe in every run."""
    probe_age_warning: float = 900.0
    probe_age_critical: float = 1800.0
    delivery: RangePair = RangePair()


class Settings(Record):
    target: Target
    tls: TlsPolicy = TlsPolicy()
    login: Login | None = None
    limits: Limits = Limits()
    thresholds: Thresholds = Thresholds()
    expect: Expectation = Expectation()
    assertions: Assertions = Assertions()
    round_trip: RoundTrip | None = None
    states: Mapping[str, State] = {}
    """States that the user set for kinds of failure."""
    diagnosis: frozenset[Subject] | None = None
    """Topics of the diagnosis; an empty set is those that fit the failure, None no diagnosis."""
    verbosity: int = 0
    notes: tuple[Printable, ...] = ()
    """Remarks on the options, for the long output."""
    command: str = ""
    """The command line that repeats the check; empty if it cannot be written without quotes."""


class RestApi(Record):
    """A REST API that takes results."""

    endpoint: HttpsEndpoint
    username: str
    password_file: str
    ca_file: str | None = None
    """Trusted for the API only, instead of the system trust store."""


class SubmitTarget(Record):
    """Where results are submitted."""

    name: str
    """Of its module, `sweep/targets/NAME_target`."""
    location: str | RestApi
    """A path, or an API."""


class Sweep(Record):
    """A sweep: many services of one INI file."""

    file: str
    common: Mapping[str, Sequence[str]] = {}
    """Values of the options on the command line, by long name; they apply to every service."""
    jobs: int = 128
    jobs_per_address: int = 4
    workers: int | None = None
    """Processes; None for as many as the number of services is worth."""
    run_timeout: float = 50.0
    submit_target: SubmitTarget | None = None
    """Where each result is submitted; None if only the result of the sweep is printed."""
    verbosity: int = 0
