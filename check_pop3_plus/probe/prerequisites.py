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
from check_pop3_plus.support.masking import Masker, can_mask

if TYPE_CHECKING:
    import ssl


class Prerequisites:
    """What all conversations of a run share."""

    def __init__(
        self, settings: Settings, secret: Secret | None = None, masker: Masker | None = None
    ) -> None:
        """Take `secret` where it was asked for on the terminal; else it is read from its source.

        The `masker` is shared by all sections of a sweep.
        """
        self.settings = settings
        self.secret = secret
        self.masker = masker or Masker()
        self.is_maskable = True
        """Else nothing is quoted of what the server says once it has been told the secret."""
        self.context: ssl.SSLContext | None = None
        """None where the link is plain."""
        self.deployed: tuple[CertificateFacts, ...] = ()
        self._is_ready = False

    @property
    def sanitise(self) -> Sanitiser:
        """Makes untrusted text printable, and masks the secrets that are known so far."""
        return self.masker.sanitise

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
            revealed = [each.reveal() for each in secrets]
            self.masker.add(revealed)
            self.is_maskable = can_mask(revealed[0])
        if self.settings.tls.security is not Security.PLAIN:
            from check_pop3_plus.certificate import reader  # which a plain check does not pay for

            reader.prepare()
            self.context = tls.context(self.settings.tls)
            self.deployed = _read_deployed(self.settings.assertions.deployed_file, self.sanitise)
        self._is_ready = True


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
