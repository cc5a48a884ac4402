"""What a run prepares once, for all of its looks: the secret, the TLS policy, files.

Once, because a secret can be had only once: the variable that it comes from is removed, a command
may count how often it is asked, a token costs a request.
"""

from typing import TYPE_CHECKING

from check_pop3_plus import credentials, files, text, tls
from check_pop3_plus.failures import Kind, ProbeError
from check_pop3_plus.report import CertificateFacts
from check_pop3_plus.settings import Secret, Security, Settings
from check_pop3_plus.text import Cleaner, Printable
from check_pop3_plus.timing import Deadline

if TYPE_CHECKING:
    import ssl


class Means:
    """What all conversations of a run share."""

    def __init__(self, settings: Settings, secret: Secret | None = None) -> None:
        """Take `secret` where it was asked for on the terminal; else it is read from its source."""
        self.settings = settings
        self.secret = secret
        self.clean: Cleaner = text.clean
        """Masks the secret, too, once there is one."""
        self.is_maskable = True
        """Else nothing is quoted of what the server says once it has been told the secret."""
        self.context: ssl.SSLContext | None = None
        """None where the link is plain."""
        self.deployed: tuple[CertificateFacts, ...] = ()
        self._is_ready = False

    def prepare(self, deadline: Deadline) -> None:
        """Do before any clock of a conversation what would otherwise spoil its numbers.

        Raises ProbeError (config).
        """
        if self._is_ready:
            return
        login = self.settings.login
        if login and login.needs_secret:
            if login.source.grant:
                from check_pop3_plus import oauth  # for HTTP, which no other check pays for

                secrets = oauth.fetch(login.source.grant, deadline)
            else:
                secrets = (self.secret or credentials.read(login.source, deadline),)
            self.secret = secrets[0]
            public = _public(login.username, self.settings)
            revealed = [each.reveal() for each in secrets]
            self.clean = text.cleaner(revealed, public)
            self.is_maskable = text.can_mask(revealed[0], public)
        if self.settings.tls.security is not Security.PLAIN:
            from check_pop3_plus import certificate  # which a plain check does not pay for

            certificate.prepare()
            self.context = tls.context(self.settings.tls)
            self.deployed = _read_deployed(self.settings.assertions.deployed_file, self.clean)
        self._is_ready = True


def _public(username: str, settings: Settings) -> tuple[str, ...]:
    """Return the names that everybody may know."""
    hosts = {settings.target.hostname, settings.tls.name}
    return (username, *hosts, *(f"{username}@{host}" for host in hosts))


def _read_deployed(path: str | None, clean: Cleaner) -> tuple[CertificateFacts, ...]:
    """Return the certificates of the file that the server's own must be in."""
    if path is None:
        return ()
    from check_pop3_plus import certificate

    what = "certificate file"
    try:
        return certificate.read_pem(files.read(path, what), clean)
    except ValueError as error:
        message = f"no certificate in PEM in {what} {text.clean(path)}"
        raise ProbeError(Kind.CONFIG, Printable(message)) from error
