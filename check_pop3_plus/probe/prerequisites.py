"""Resources shared by all attempts of a run: the secret, the TLS context, files.

Prepared only once: the environment variable of a secret is removed, a password command may have
side effects, a token costs a request.
"""

from collections.abc import Callable, Iterable

from check_pop3_plus import TYPE_CHECKING
from check_pop3_plus.model.failures import DeadlineExceeded, config_error
from check_pop3_plus.model.report import Address, CertificateFacts, MailboxFacts
from check_pop3_plus.model.sanitised_text import Printable, Sanitiser
from check_pop3_plus.model.settings import Secret, Security, Settings
from check_pop3_plus.support import files
from check_pop3_plus.support.deadline import Deadline, run_with_deadline
from check_pop3_plus.support.masking import Masker, can_mask

if TYPE_CHECKING:
    import ssl

    from check_pop3_plus.pop3.grammar import Capabilities
    from check_pop3_plus.probe.connection import Connection


class MailboxWork:
    """What is done in a mailbox after the login, if more than its size is wanted."""

    end: Deadline
    """When the run ends: until then the server may delete."""

    def prepare(self, deadline: Deadline) -> None:
        """Prepare everything once. Raises ProbeError (config)."""
        raise NotImplementedError

    def look_through(
        self, connection: "Connection", mailbox: MailboxFacts, known: "Capabilities | None"
    ) -> None:
        """Do the work. Raises ProbeError."""
        raise NotImplementedError


class Prerequisites:
    """Resources shared by all attempts of a run."""

    def __init__(
        self,
        settings: Settings,
        secret: Secret | None = None,
        masker: Masker | None = None,
        admit: Callable[[Iterable[Address]], None] | None = None,
    ) -> None:
        """Take a `secret` entered on the terminal; otherwise it is read from its source.

        `masker` is shared by all sections of a sweep, which gives `admit`, too: it is called with
        the addresses before the first connection, and raises to prevent it.
        """
        self.admit = admit or (lambda _: None)
        self.is_limited = admit is not None
        """Whether the check may have no more than one connection to an address at a time."""
        self.settings = settings
        self.secret = secret
        self.masker = masker or Masker()
        self.is_maskable = True
        """If not, only response codes of the server are quoted after the login."""
        self.context: ssl.SSLContext | None = None
        """None without TLS."""
        self.deployed: tuple[CertificateFacts, ...] = ()
        self.notes: list[Printable] = []
        """Remarks on the secret and its file."""
        self.mailbox_work: MailboxWork | None = None
        self._is_ready = False

    @property
    def sanitise(self) -> Sanitiser:
        """The function that makes untrusted text printable and masks the secrets known so far."""
        return self.masker.sanitise

    def prepare(self, deadline: Deadline) -> None:
        """Prepare everything once, before the time of a session is measured.

        Raises ProbeError (config).
        """
        if self._is_ready:
            return
        login = self.settings.login
        if login and login.needs_secret:
            from check_pop3_plus.probe import password_source  # it loads programs

            if login.source.grant:
                from check_pop3_plus.probe import oauth_token  # it loads HTTP

                secrets = oauth_token.fetch_token(login.source.grant, deadline)
            else:
                secrets = (self.secret or password_source.read(login.source, deadline),)
            self.secret = secrets[0]
            revealed = [each.reveal() for each in secrets]
            self.masker.add(revealed)
            self.is_maskable = can_mask(revealed[0])
            self.notes = list(password_source.remarks(login.source, revealed[0], login.username))
        if self.settings.tls.security is not Security.PLAIN:
            self.context = self._tls_context(deadline)
            if self.settings.assertions.issuer:
                from check_pop3_plus.certificate import reader

                reader.prepare()  # names decide the verdict
            self.deployed = _read_deployed(self.settings.assertions.deployed_file, self.sanitise)
        if self.mailbox_work:
            self.mailbox_work.prepare(deadline)
        self._is_ready = True

    def _tls_context(self, deadline: Deadline) -> "ssl.SSLContext":
        """Return the context, built in a thread: no signal interrupts OpenSSL while it reads."""
        from check_pop3_plus.net import tls

        policy = self.settings.tls
        try:
            known = tls.known_context(policy)
            return known or run_with_deadline(lambda: tls.context(policy), deadline)
        except DeadlineExceeded as error:
            what = "loading the trusted CA certificates took too long"
            raise config_error(what) from error


def _read_deployed(path: str | None, sanitise: Sanitiser) -> tuple[CertificateFacts, ...]:
    """Return the certificates in the file that must contain the server certificate."""
    if path is None:
        return ()
    from check_pop3_plus.certificate import reader

    what = "certificate file"
    try:
        return reader.read_pem(files.read_file(path, what), sanitise)
    except ValueError as error:
        raise config_error("no certificate in PEM in {} {}", what, path) from error
