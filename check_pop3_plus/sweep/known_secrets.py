"""Read the secrets of all sections once, before the first check, so that all are masked."""

from contextlib import suppress

from check_pop3_plus.model.failures import ProbeError
from check_pop3_plus.model.settings import Secret, SecretSource, Settings
from check_pop3_plus.probe import password_source
from check_pop3_plus.support.deadline import Deadline, end_helper, run_with_deadline
from check_pop3_plus.support.masking import Masker
from check_pop3_plus.sweep.services import Service, values_in

_FILES_SECONDS = 5.0
"""How long the password files are read before the checks begin."""


class KnownSecrets:
    """The passwords of variables and files, and the masker of the sweep."""

    def __init__(self, services: list[Service], deadline: Deadline) -> None:
        """Read each variable, which removes it, and each file.

        A file that takes too long is left to the check that needs it.
        """
        self._found: dict[SecretSource, Secret | ProbeError] = {}
        values = values_in(services)
        files = values.get("--password-file", ())

        def read_files() -> None:
            for file in files:
                self._read(SecretSource(file=str(file)), deadline)

        for name in values.get("--password-env", ()):
            self._read(SecretSource(env=str(name)), deadline)
        if files:
            with suppress(ProbeError):
                run_with_deadline(read_files, deadline.within(_FILES_SECONDS))
            end_helper()
        found = list(self._found.values())
        self.masker = Masker([each.reveal() for each in found if isinstance(each, Secret)])

    def _read(self, source: SecretSource, deadline: Deadline) -> None:
        try:
            self._found[source] = password_source.read(source, deadline)
        except ProbeError as error:
            self._found[source] = error

    def secret_of(self, settings: Settings) -> Secret | None:
        """Return the password of a variable or file; None if the check has to read it.

        Raises ProbeError (config) where there is none.
        """
        if settings.login is None:
            return None
        source = settings.login.source
        secret = self._found.get(source)
        if isinstance(secret, ProbeError):  # of the first section with this source
            raise secret.at(source.env or source.file)
        return secret
