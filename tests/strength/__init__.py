"""Mutation testing: modules with one small change each, which a test has to detect."""

from pathlib import Path

PACKAGE = "check_pop3_plus"

FOLDER = Path(__file__).parent.parent.parent

MODULES = {
    "grammar": "pop3.grammar",
    "session": "probe.session",
    "connection": "probe.connection",
    "login": "pop3.login",
    "auth": "pop3.auth",
    "exchange": "sasl.exchange",
    "mechanisms": "sasl.mechanisms",
    "scram": "sasl.scram",
    "password_source": "probe.password_source",
    "refusals": "pop3.refusals",
    "tls": "net.tls",
    "tls_errors": "net.tls_errors",
    "rejection_reasons": "certificate.rejection_reasons",
    "reader": "certificate.reader",
    "rfc5280_rules": "certificate.rfc5280_rules",
    "der": "certificate.der",
    "strength": "certificate.strength",
    "certificate_contexts": "check.certificate_contexts",
    "sanitised_text": "model.sanitised_text",
    "foreign_json": "model.foreign_json",
    "masking": "support.masking",
    "sweep_run": "sweep.run",
    "task_queue": "sweep.task_queue",
    "services": "sweep.services",
    "summary": "sweep.summary",
    "sweep_main": "sweep.main",
    "submission": "sweep.targets.submission",
    "icinga2_target": "sweep.targets.icinga2_target",
    "nagios_target": "sweep.targets.nagios_target",
    "jsonl_target": "sweep.targets.jsonl_target",
    "prometheus_target": "sweep.targets.prometheus_target",
    "https": "net.https",
    "tools": "diagnosis.tools",
    "likely_cause": "diagnosis.likely_cause",
    "programs": "support.programs",
    "files": "support.files",
    "validators": "options.validators",
    "ini": "options.ini",
    "settings_builder": "options.settings_builder",
    "sweep_builder": "options.sweep_builder",
    "mistakes": "options.mistakes",
    "message": "pop3.message",
    "message_headers": "probe.message_headers",
    "probe_message": "delivery.probe_message",
    "delivery_mailbox": "delivery.mailbox",
    "round_trip": "delivery.round_trip",
    "delivery_submission": "delivery.submission",
    "smtp": "net.smtp",
}
"""The measured modules, by their names in reports."""

GROUPS = {
    "grammar": ("grammar",),
    "session": ("session", "connection"),
    "login": (
        *("login", "refusals", "auth", "exchange", "mechanisms", "scram", "password_source"),
    ),
    "TLS evaluation": (
        *("tls", "tls_errors", "reader", "rejection_reasons", "rfc5280_rules", "strength"),
        *("certificate_contexts", "der"),
    ),
    "sanitised text": ("sanitised_text", "foreign_json", "masking"),
    "sweep": ("sweep_run", "task_queue", "services", "summary", "sweep_main"),
    "submission": (
        *("submission", "icinga2_target", "nagios_target", "jsonl_target", "prometheus_target"),
        "https",
    ),
    "diagnosis": ("tools", "likely_cause"),
    "programs and files": ("programs", "files"),
    "delivery": (
        *("message", "message_headers", "probe_message", "delivery_mailbox", "round_trip"),
        *("delivery_submission", "smtp"),
    ),
    "options": ("validators", "ini", "settings_builder", "sweep_builder", "mistakes"),
}
"""The modules that parse untrusted input, that evaluate it, and that read what the user writes."""

UNITS = (
    "unit/pop3",
    "unit/sasl",
    "unit/probe",
    "unit/net",
    "unit/certificate",
    "unit/check/test_certificate_contexts.py",
    "unit/model",
    "unit/support",
    "unit/sweep",
    "unit/delivery",
    "unit/diagnosis",
    "unit/options",
    "checks/test_sweep.py",
    "checks/test_icinga_target.py",
    "checks/test_nagios_target.py",
    "checks/test_json_target.py",
    "checks/test_oauth_token.py",
    "checks/test_password_command.py",
    "checks/test_secrets.py",
    "checks/test_transcript.py",
    "checks/test_message_age.py",
    "checks/test_round_trip.py",
    "properties/test_grammar.py",
    "properties/test_options.py",
    "properties/test_output.py",
    "properties/test_reader_comparison.py",
    "properties/test_text.py",
)
"""The unit tests of each of these modules."""

WHOLE = (
    "checks/test_faults_greeting.py",
    "checks/test_faults_login.py",
    "checks/test_faults_stls.py",
    "checks/test_faults_tls.py",
    "checks/test_faults_unexpected.py",
    "checks/test_certificates.py",
    "checks/test_side_probes.py",
    "unit/check/test_run.py",
    "checks/test_addresses.py",
)
"""Tests that run a whole check. Others would kill a few more mutants, but need a process, wait for
a time limit, or test other modules."""


def source(name: str) -> Path:
    """Return the file of a measured module."""
    return FOLDER / PACKAGE / (MODULES[name].replace(".", "/") + ".py")
