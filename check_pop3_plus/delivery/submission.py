"""Submit a probe: the login at the SMTP server, by SASL."""

from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.model.settings import Secret, Security, Smtp
from check_pop3_plus.net import smtp, tls
from check_pop3_plus.pop3.grammar import only_code
from check_pop3_plus.sasl.exchange import Exchange, Identity
from check_pop3_plus.sasl.mechanisms import MECHANISMS, acceptable
from check_pop3_plus.support.deadline import Deadline
from check_pop3_plus.support.masking import Masker, can_mask


def submit(
    settings: Smtp, mail: smtp.Mail, secret: Secret | None, masker: Masker, deadline: Deadline
) -> None:
    """Send a message. Raises ProbeError: submission, submission-temporary, config."""
    has_tls = settings.tls.security is not Security.PLAIN
    context = tls.context(settings.tls) if has_tls else None
    sanitise = masker.sanitise
    if secret and not can_mask(secret.reveal()):
        sanitise = only_code

    def begin_login(offered: tuple[str, ...]) -> tuple[str, Exchange]:
        assert settings.login is not None  # noqa: S101 - checked by the caller
        assert secret is not None  # noqa: S101 - prepared
        permitted = acceptable(settings.login.mechanism)
        name = next((each for each in permitted if each in offered), None)
        if name is None:
            names = " or ".join(permitted)
            known = " ".join(offered) or "none"
            raise ProbeError(Kind.NO_MECHANISM, "offers no {} (only: {})", names, known)
        identity = Identity(
            settings.login.username.encode("utf-8", "surrogateescape"),
            secret.reveal(),
            settings.target.hostname,
            settings.target.port,
        )
        return name, Exchange(MECHANISMS[name], identity)

    login = begin_login if settings.login else None
    smtp.Submission(settings, context, login, sanitise).send(mail, deadline)
