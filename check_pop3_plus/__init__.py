"""Check a POP3 server for Nagios and Icinga.

Facts, judgement and words are three rooms that share no wall, and data goes one way::

    argv -> options -> Settings
                          |   probe: one Deadline, one conversation per address
                          v
                        Report      facts only
                          |   resource, contexts: metrics to OK / WARNING / CRITICAL / UNKNOWN
                          v
                        Verdict     summary words it, check composes it, cli prints it

Read `report`, `session`, `pop3`, `contexts`, `summary` first, then the rest.
A module imports only from lower levels; `tests/test_house_rules.py` holds the table.
"""

__version__ = "0.1.0"

RELEASED = "2026-11-24"
"""The day this version was released: a local clock before it is wrong."""
