"""What a run prepares once, for all of its looks: the secret, the TLS policy, files.

Once, because a secret can be had only once: the variable that it comes from is removed, a command
may count how often it is asked, a token costs a request.
"""

from typing import TYPE_CHECKING

from check_pop3_plus.model import sanitised_text
from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.model.report import CertificateFacts
from check_pop3_plus.model.sanitised_text import Printable, Sanitiser
from check_pop3_plus.model.settings import Secret, Security, Settings
from check_pop3_plus.net import tls
from check_pop3_plus.probe import password_source
from check_pop3_plus.support import files
from check_pop3_plus.support.deadline import Deadline

if TYPE_CHECKING:
    import ssl


class Prerequisites:
    """What all conversations of a run share."""

    def __init__(self, settings: Settings, secret: Secret | None = None) -> None:
        """Take `secret` where it was asked for on the terminal; else it is read from its source."""
        self.settings = settings
        self.secret = secret
        self.sanitise: Sanitiser = sanitised_text.sanitise
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
                from check_pop3_plus.probe import (
                    oauth_token,  # for HTTP, which no other check pays for
                )

                secrets = oauth_token.fetch(login.source.grant, deadline)
            else:
                secrets = (self.secret or password_source.read(login.source, deadline),)
            self.secret = secrets[0]
            public = _public(login.username, self.settings)
            revealed = [each.reveal() for each in secrets]
            self.sanitise = sanitised_text.cleaner(revealed, public)
            self.is_maskable = sanitised_text.can_mask(revealed[0], public)
        if self.settings.tls.security is not Security.PLAIN:
            from check_pop3_plus.certificate import reader  # which a plain check does not pay for

            reader.prepare()
            self.context = tls.context(self.settings.tls)
            self.deployed = _read_deployed(self.settings.assertions.deployed_file, self.sanitise)
        self._is_ready = True


def _public(username: str, settings: Settings) -> tuple[str, ...]:
    """Return the names that everybody may know."""
    hosts = {settings.target.hostname, settings.tls.name}
    return (username, *hosts, *(f"{username}@{host}" for host in hosts))


def _read_deployed(path: str | None, sanitise: Sanitiser) -> tuple[CertificateFacts, ...]:
    """Return the certificates of the file that the server's own must be in."""
    if path is None:
        return ()
    from check_pop3_plus.certificate import reader

    what = "certificate file"
    try:
        return reader.read_pem(files.read_file(path, what), sanitise)
    except ValueError as error:
        message = f"no certificate in PEM in {what} {sanitised_text.sanitise(path)}"
        raise ProbeError(Kind.CONFIG, Printable(message)) from error
