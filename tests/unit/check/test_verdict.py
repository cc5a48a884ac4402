"""The result that all formats of `output` are made from."""

import errno
import json

import nagiosplugin
import pytest

from check_pop3_plus.check.verdict import AddressResult, Verdict, of_error
from check_pop3_plus.messages.hints import Advice
from check_pop3_plus.model.failures import config_error
from check_pop3_plus.model.report import CertificateFacts
from check_pop3_plus.model.sanitised_text import sanitise
from check_pop3_plus.model.settings import State
from check_pop3_plus.output import json_text
from check_pop3_plus.support.masking import Masker

SECRET = "S3cretWord"
TOO_OLD = "is too old or broken: update it"


def test_masked_leaves_the_secret_in_no_field_of_the_json() -> None:
    """What one section of a sweep learns may stand in the result of another one."""
    said = f"rejected: {SECRET}"
    facts = CertificateFacts(
        None, None, subject=sanitise(said), issuer=sanitise(said), names=(sanitise(SECRET),)
    )
    verdict = Verdict(
        State.CRITICAL,
        said,
        (),
        (f"transcript: S: -ERR {SECRET}",),
        remarks=(SECRET,),
        place=SECRET,
        advice=(Advice(f"kind: {SECRET}", (f"try: {SECRET}",)),),
        addresses=(AddressResult("192.0.2.1", 110, "greeting", "greeting", said, None),),
        certificate=facts,
        intermediate=facts,
        attempts=((State.CRITICAL, said),),
    )

    text = json.dumps(json_text.result(verdict.masked(Masker([SECRET.encode()]))))

    assert json.dumps(json_text.result(verdict)).count(SECRET) == 14
    assert SECRET not in text
    assert text.count("***") == 14


@pytest.mark.parametrize(
    ("error", "status", "shortage"),
    [
        (config_error("no file {}", "x"), "config: no file x", ""),
        (ModuleNotFoundError("s3cret", name="x'y"), "config: missing Python module x?y", ""),
        (ImportError("s3cret", name="x'y"), f"config: Python module x?y {TOO_OLD}", ""),
        (
            ImportError("libz.so.1: failed to map segment from shared object", name="x.y"),
            "config: not enough memory here to load the Python module x",
            "not enough memory here to load the Python module x",
        ),
        (
            AttributeError("s3cret", obj=nagiosplugin),
            f"config: Python module nagiosplugin {TOO_OLD}",
            "",
        ),
        (
            AttributeError("s3cret", obj=nagiosplugin.Context),
            f"config: Python module nagiosplugin {TOO_OLD}",
            "",
        ),
        (AttributeError("s3cret", obj=errno), "bug: internal error (AttributeError)", ""),
        (AttributeError("s3cret", obj=None), "bug: internal error (AttributeError)", ""),
        (OSError(errno.ENOSPC, "No space left"), "config: local error: No space left", ""),
        (
            OSError(errno.EMFILE, "Too many"),
            "config: local error: Too many",
            "local error: Too many",
        ),
        (MemoryError(), "config: local error: MemoryError", "local error: MemoryError"),
        (RuntimeError("s3cret"), "bug: internal error (RuntimeError)", ""),
    ],
)
def test_error_of_ours_is_unknown_without_its_text(
    error: BaseException, status: str, shortage: str
) -> None:
    """A single run and a sweep say the same about it; the text may quote a secret."""
    verdict = of_error(error)

    assert (verdict.state, verdict.status) == (State.UNKNOWN, status)
    assert verdict.shortage == shortage


def test_line_has_no_stop_of_the_server_before_a_comma() -> None:
    """Before the place the quote stands as the server sent it."""
    verdict = Verdict(State.CRITICAL, "login rejected: Go away.", place="pop:110")

    assert verdict.line == "POP3 CRITICAL - login rejected: Go away. (pop:110)"
    assert (
        verdict.replace(remarks=("cleartext login",)).line
        == "POP3 CRITICAL - login rejected: Go away, cleartext login (pop:110)"
    )
