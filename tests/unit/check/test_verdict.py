"""The result that all formats of `output` are made from."""

import json

from check_pop3_plus.check.verdict import AddressResult, Verdict
from check_pop3_plus.model.report import CertificateFacts
from check_pop3_plus.model.sanitised_text import sanitise
from check_pop3_plus.model.settings import State
from check_pop3_plus.output import json_text
from check_pop3_plus.support.masking import Masker

SECRET = "S3cretWord"


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
        suffix=f" ({SECRET})",
        addresses=(AddressResult("192.0.2.1", 110, "greeting", "greeting", said, None),),
        certificate=facts,
        intermediate=facts,
        attempts=((State.CRITICAL, said),),
    )

    text = json.dumps(json_text.result(verdict.masked(Masker([SECRET.encode()]).mask)))

    assert json.dumps(json_text.result(verdict)).count(SECRET) == 11
    assert SECRET not in text
    assert text.count("***") == 11
