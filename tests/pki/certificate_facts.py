"""Facts of certificates that were never issued, for tests of evaluation and messages."""

from __future__ import annotations

import datetime as dt

from check_pop3_plus.model.report import CertificateFacts
from check_pop3_plus.model.sanitised_text import Printable

NOW = dt.datetime(2027, 1, 15, 12, 0, tzinfo=dt.timezone.utc)
DAY = dt.timedelta(days=1)


def dates(before: float, after: float) -> CertificateFacts:
    """Return a certificate that is valid from and until so many days from `NOW`."""
    return CertificateFacts(NOW + before * DAY, NOW + after * DAY, Printable("CN=x"))
