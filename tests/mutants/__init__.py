"""How strong the tests are: rooms with one small mistake each, which a test has to notice."""

from pathlib import Path

PACKAGE = "check_pop3_plus"

FOLDER = Path(__file__).parent.parent.parent

ROOMS = {
    "grammar": ("pop3",),
    "session": ("session", "conversation"),
    "login": ("login", "sasl", "mechanisms", "scram", "credentials"),
    "TLS judgement": ("tls", "certificate", "strictness", "certificate_contexts", "outline"),
    "text cleaner": ("text",),
}
"""The rooms whose strength is measured: those that take in what strangers say, and judge it."""
