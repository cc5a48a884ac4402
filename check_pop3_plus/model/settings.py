"""What the user asked for, checked and frozen. Built once, by `options`."""

from collections.abc import Mapping, Sequence
from enum import Enum

from check_pop3_plus.model.record import Record


class Secret:
    """A password or token that cannot be printed by accident."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """Return the secret itself; only `login` and `oauth` send it and only `text` masks it."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise TypeError("a secret is not written anywhere")


class Security(Enum):
    """How the link is secured."""

    PLAIN = "plain"
    IMPLICIT = "ssl"
    STLS = "starttls"


class Verify(Enum):
    """What of the certificate must hold before POP3 is spoken over the link."""

    FULL = "full"
    CHAIN = "chain"
    NONE = "none"


class Family(Enum):
    ANY = "any"
    IPV4 = "ipv4"
    IPV6 = "ipv6"


class State(Enum):
    """Plugin guidelines; the value is the exit code."""

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
    """Whether each address of the name is probed, side by side."""
    min_addresses: int | None = None
    """How many good ones are enough; None means all."""


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
    pins: tuple[str, ...] = ()
    """SHA-256 of the certificate or of its public key, in hexadecimal; any of them will do."""


class HttpsEndpoint(Record):
    """Where tokens are given out, or results are taken, over HTTPS."""

    host: str
    port: int
    path: str
    """As the request names it: with the query, where there is one."""

    @property
    def authority(self) -> str:
        """Host, and port where it is not the usual one, as a URL and a Host field have them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 443 else f"{host}:{self.port}"


class Grant(Record):
    """How a token is fetched: by a refresh token where there is one, else by the client's own
    credentials (RFC 6749 sections 6 and 4.4)."""

    endpoint: HttpsEndpoint
    client_id: str
    client_secret_file: str | None = None
    refresh_token_file: str | None = None
    scope: str | None = None
    ca_file: str | None = None
    """Trusted for the endpoint alone, in place of the system's store."""


class SecretSource(Record):
    """Where the secret comes from: at most one of them; with none, a prompt."""

    file: str | None = None
    env: str | None = None
    command: str | None = None
    grant: Grant | None = None


POP3_METHODS = ("user", "apop")
"""Ways to log in that are older than the list of capabilities, and do not depend on it."""

LOGIN_METHODS = (
    *POP3_METHODS,
    "plain",
    "login",
    "cram-md5",
    "scram-sha-1",
    "scram-sha-256",
    "external",
    "xoauth2",
    "oauthbearer",
)
"""The names that `--auth` takes, `auto` aside; `login` and `mechanisms` know the ways themselves,
and are not loaded where nobody logs in."""


class Login(Record):
    username: str
    source: SecretSource
    mechanism: str = "auto"
    allow_insecure: bool = False

    @property
    def needs_secret(self) -> bool:
        """Whether there is a secret to send: with EXTERNAL the client certificate is the proof."""
        return self.mechanism != "external"

    @property
    def needs_capabilities(self) -> bool:
        """Whether the choice depends on what the server offers."""
        return self.mechanism not in POP3_METHODS


class Limits(Record):
    """Seconds, counted from the first line of the program."""

    timeout: float = 10.0
    """For one look; never more than for the run."""
    run_timeout: float = 10.0
    """For all looks, the pauses between them, and the diagnosis."""
    rechecks: int = 0
    """How often to look again, at most, before a failure is believed."""


class Subject(Enum):
    """What a diagnosis may look into; the value is its name in `--diagnose`."""

    DNS = "dns"
    TCP = "tcp"
    TLS = "tls"
    DIALOG = "dialog"
    PING = "ping"
    TRACE = "trace"


class Expectation(Record):
    """Texts that the greeting must contain: any of them, or all."""

    texts: tuple[str, ...] = ()
    all: bool = False


class Assertions(Record):
    """What the server must, or must not, do besides answering."""

    capabilities: tuple[tuple[str, str | None], ...] = ()
    """Tags, and for `SASL=PLAIN` the argument that must stand with the tag; upper case."""
    refuses_cleartext: bool = False
    resists_injection: bool = False
    rejects_legacy_tls: bool = False
    issuer: str | None = None
    """Text in a name of one that has issued the certificate, directly or not."""
    deployed_file: str | None = None
    """PEM; the certificate that must be served is in it."""
    min_key_bits: int | None = None
    max_validity: float | None = None
    """Days from the first to the last instant of the certificate."""


class Remaining(Record):
    """A certificate threshold: what must be left, in days, as a share of the lifetime, or the
    smaller of the two."""

    days: float | None = None
    share: float | None = None


class RangePair(Record):
    """Plugin guidelines' ranges, as text that was checked; None where not asked for."""

    warning: str | None = None
    critical: str | None = None


class Thresholds(Record):
    time: RangePair = RangePair()
    phases: Mapping[str, RangePair] = {}
    messages: RangePair = RangePair()
    size: RangePair = RangePair()
    certificate_warning: Remaining | None = None
    certificate_critical: Remaining | None = None


class Settings(Record):
    target: Target
    tls: TlsPolicy = TlsPolicy()
    login: Login | None = None
    limits: Limits = Limits()
    thresholds: Thresholds = Thresholds()
    expect: Expectation = Expectation()
    assertions: Assertions = Assertions()
    states: Mapping[str, State] = {}
    """What single kinds of failure count as, where the user says so."""
    diagnosis: frozenset[Subject] | None = None
    """What to look into after a failure; empty is what fits the failure, None nothing."""
    verbosity: int = 0


class IcingaApi(Record):
    """Where Icinga 2 takes results, by its REST API."""

    endpoint: HttpsEndpoint
    username: str
    password_file: str
    ca_file: str | None = None
    """Trusted for the API alone, in place of the system's store."""


class CommandFile(Record):
    """The FIFO from which Nagios takes external commands."""

    path: str


class JsonLines(Record):
    """An object a line."""

    path: str = "-"
    """Standard output; no file is ever written."""


class Sweep(Record):
    """Many services of one file."""

    file: str
    common: Mapping[str, Sequence[str]] = {}
    """Values of the options on the command line, by long name; they apply to every service."""
    jobs: int = 128
    run_timeout: float = 50.0
    submit_target: IcingaApi | CommandFile | JsonLines | None = None
    """Who is handed each result; None where the sweep's own is all that is wanted."""
    verbosity: int = 0
