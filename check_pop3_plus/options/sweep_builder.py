"""Build the settings of a sweep from the given options."""

from check_pop3_plus.model.settings import RestApi, SubmitTarget, Sweep
from check_pop3_plus.options import settings_builder, validators
from check_pop3_plus.options.table import OF_SWEEPS, SUBMIT_FORMS, Given
from check_pop3_plus.options.validators import UsageError, invalid

_NOT_WITH_SWEEP = {
    "--hostname": "the file of the sweep names the hosts",
    "--output": "use --submit jsonl:- or prometheus:FILE",
}


def sweep(given: Given) -> Sweep:
    """Return the settings. Raises UsageError."""
    for option, cure in _NOT_WITH_SWEEP.items():
        if option in given:
            raise UsageError("{} and {} cannot be combined: " + cure, option, "--sweep")
    own = (*OF_SWEEPS, "--run-timeout")
    # An empty value has always meant the default here.
    run_timeout = given.last("--run-timeout") or str(Sweep.run_timeout)
    return Sweep(
        file=given.needed("--sweep", validators.path),
        common={option: values for option, values in given.items() if option not in own},
        jobs=given.checked("--jobs", validators.whole_number) or Sweep.jobs,
        jobs_per_address=given.checked("--jobs-per-address", validators.whole_number)
        or Sweep.jobs_per_address,
        workers=given.checked("--workers", validators.whole_number),
        run_timeout=validators.seconds(run_timeout, "--run-timeout"),
        submit_target=_submit_target(given),
        verbosity=settings_builder.verbosity(given),
    )


def _submit_target(given: Given) -> SubmitTarget | None:
    wanted = given.last("--submit") or ""
    name, _, location = wanted.partition(":")
    if name != "icinga2" and any(option.startswith("--icinga-") for option in given):
        raise UsageError("options --icinga-... need {} icinga2:URL", "--submit")
    if "--submit" not in given:
        return None
    if len(given["--submit"]) > 1:
        raise UsageError("{} {} is one too many: it can be given only once", "--submit", wanted)
    if location and f"{name}:URL" in SUBMIT_FORMS:
        return SubmitTarget(name, _icinga_api(given, location))
    if wanted in SUBMIT_FORMS or (location and f"{name}:FILE" in SUBMIT_FORMS):
        return SubmitTarget(name, validators.path(location, "--submit"))
    *others, last = SUBMIT_FORMS
    raise invalid("--submit", wanted, f"must be {', '.join(others)} or {last}")


_LOGIN = ("--icinga-user", "--icinga-password-file")


def _icinga_api(given: Given, url: str) -> RestApi:
    endpoint = validators.https_url(url, "--submit icinga2:URL")
    user, password_file = map(given.last, _LOGIN)
    if not user or not password_file:
        raise UsageError("{} needs {} and {}", "--submit icinga2:URL", *_LOGIN)
    if ":" in user:
        raise invalid("--icinga-user", user, "must not contain a colon (RFC 7617 section 2)")
    return RestApi(
        endpoint,
        validators.visible(user, "--icinga-user"),
        validators.path(password_file, "--icinga-password-file"),
        given.checked("--icinga-ca-file", validators.path),
    )
