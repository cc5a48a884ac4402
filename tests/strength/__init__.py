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

UNITS = (
    *("pop3", "session", "login", "sasl", "mechanisms", "scram", "credentials", "tls", "trust"),
    *("certificate", "strictness", "outline", "certificate_contexts", "text"),
    *("secrets", "dialogue", "properties_grammar", "properties_text"),
)
"""Files of tests that look for mistakes in these rooms, one by one."""

WHOLE = (
    *("faults_greeting", "faults_login", "faults_stls", "faults_tls"),
    *("chains", "asides", "check", "addresses"),
)
"""And those that run a whole check. Other files would find a few more mistakes, but need a process,
wait for time to pass, or are about other rooms."""
