"""Check a POP3 server for Nagios and Icinga.

Data flows one way: facts are collected, then evaluated, then formatted::

    argv -> options -> Settings -> probe -> Report -> check -> Verdict -> cli

====================  ==============================================================
start, cli            entry point; from argv to the printed result
sweep                 many services from one INI file
output                a verdict to the text of the plugin
check                 the nagiosplugin layer: resource, contexts, summary, retries
delivery              the round trip: probes sent by SMTP, found in the mailbox
diagnosis             finds the likely cause of a failure
probe                 connects, runs POP3 sessions and collects facts
options               command line and INI files to settings
pop3                  the protocol without I/O
net                   all network I/O, with deadlines
certificate           certificates to facts
messages              facts to messages
sasl                  login mechanisms, for any protocol
support, model        helpers; the data types that all layers share
====================  ==============================================================

A folder imports only from lower ones; `tests/project/test_house_rules.py` has the levels.
Read `model/report`, `probe/session`, `pop3/grammar`, `check/contexts`, `check/summary` first.
"""

__version__ = "0.2.0"

RELEASED = "2026-11-27"
"""The release date of this version; an earlier local clock is wrong."""

TYPE_CHECKING = False
"""True to type checkers. That of `typing` costs a plain run a tenth: nothing else imports it."""
