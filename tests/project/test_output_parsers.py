"""The parsers of plugin output, with the cases of the test suites of both monitoring systems."""

from __future__ import annotations

import pytest

from tests.support.output_parsers import (
    Metric,
    Reading,
    guidelines_metrics,
    icinga,
    icinga_metric,
    icinga_metrics,
    icinga_words,
    in_macros,
    nagios,
    nagios_command,
)


@pytest.mark.parametrize(
    ("word", "metric"),
    [
        ("test=123456", Metric("test", 123456)),
        ("'hello world'=123456", Metric("hello world", 123456)),
        ("test=123456B", Metric("test", 123456, "bytes")),
        ("test=1000ms;200;500", Metric("test", 1, "seconds", 0.2, 0.5)),
        ("test=1kAm", Metric("test", 60000, "ampere-seconds")),
        ("test=1MA", Metric("test", 1e6, "amperes")),
        ("test=1gib", Metric("test", 1024**3, "bits")),
        ("test=1dBm", Metric("test", 1, "decibel-milliwatts")),
        ("test=1C", Metric("test", 1, "degrees-celsius")),
        ("test=1F", Metric("test", 1, "degrees-fahrenheit")),
        ("test=1K", Metric("test", 1, "degrees-kelvin")),
        ("test=1t", Metric("test", 1e6, "grams")),
        ("test=1hl", Metric("test", 100, "liters")),
        ("test=1lm", Metric("test", 1, "lumens")),
        ("test=1TO", Metric("test", 1e12, "ohms")),
        ("test=1PV", Metric("test", 1e15, "volts")),
        ("test=1EWh", Metric("test", 1e18, "watt-hours")),
        ("test=1000mW", Metric("test", 1, "watts")),
        ("test=42c", Metric("test", 42, "c")),
        ("test=2m;3;4;1;5", Metric("test", 120, "seconds", 180, 240, 60, 300)),
        ("test=2foobar", Metric("test", 2)),
        ("test=123456B;1000;2000;3000;4000", Metric("test", 123456, "bytes", 1e3, 2e3, 3e3, 4e3)),
        (
            "test=123456;1000:2000;0:3000;3000;4000",
            Metric("test", 123456, "", None, None, 3e3, 4e3),
        ),
        ("test=5;;7;1;9", Metric("test", 5, "", None, 7, 1, 9)),
        ("test=5;7;;1;9", Metric("test", 5, "", 7, None, 1, 9)),
        ("test=5;;7;;", Metric("test", 5, "", None, 7)),
        ("test=1.1e+1", Metric("test", 11)),
        ("test=1.1E-1;1.2e+1;1.3E-1;1.4e-2;1.5E2", Metric("test", 0.11, "", 12, 0.13, 0.014, 150)),
        ("test=23.", Metric("test", 23)),
        ("test=.42", Metric("test", 0.42)),
        ("test=+1.5E-15EB", Metric("test", 1500, "bytes")),
    ],
)
def test_icinga_parser_reads_valid_metrics(word: str, metric: Metric) -> None:
    """The cases of Icinga 2's own test of performance data."""
    read = icinga_metric(word)

    assert (read.label, read.unit) == (metric.label, metric.unit)
    for mine, theirs in zip(read, metric, strict=True):
        assert mine == (pytest.approx(theirs) if isinstance(theirs, float | int) else theirs)


@pytest.mark.parametrize(
    "word",
    [
        "123456",
        "test=1,23456",
        "test=123_456",
        "test=",
        "test=1;123,456;1;1;1",
        "test=1;1;1;1;123,456",
        "test=inf",
        "test=-Inf",
        "test=nan",
        "test=U",
    ],
)
def test_icinga_parser_rejects_invalid_metrics(word: str) -> None:
    """The same test: Icinga rejects such a metric."""
    with pytest.raises(ValueError, match=r"."):
        icinga_metric(word)


@pytest.mark.parametrize(
    ("perfdata", "words"),
    [
        ("", []),
        ("testA=123456 testB=123456", ["testA=123456", "testB=123456"]),
        (" 'testA'=123456  'testB'=123456", ["testA=123456", "testB=123456"]),
        (" 'testA'=123456  \n'testB'=123456", ["testA=123456", "testB=123456"]),
        ("'hello world'=123456", ["'hello world'=123456"]),
        ("test::a=3 b=4", ["test::a=3", "test::b=4"]),
    ],
)
def test_icinga_parser_splits_perfdata(perfdata: str, words: list[str]) -> None:
    """The same test: metrics are split at blanks, labels may be quoted."""
    assert icinga_words(perfdata) == words


@pytest.mark.parametrize(
    ("output", "by_icinga", "by_nagios"),
    [
        ("fine", Reading("fine", "", ""), Reading("fine", "", "")),
        ("fine | a=1 b=2", Reading("fine ", "", "a=1 b=2"), Reading("fine", "", "a=1 b=2")),
        ("a|b\nc", Reading("a|b", "c", ""), Reading("a", "c", "b")),
        (
            "one | a=1\ntwo\nthree | b=2\nc=3\n",
            Reading("one ", "two\nthree \nc=3\n", "a=1  b=2"),
            Reading("one", "two\nthree ", "a=1 b=2 c=3"),
        ),
        ("a;b\rc=d|e=1", Reading("a;b", "c=d", "e=1"), Reading("a:b\rc=d", "", "e=1")),
    ],
)
def test_both_parsers_split_output_alike(
    output: str, by_icinga: Reading, by_nagios: Reading
) -> None:
    """If they differed, a server's text could be a metric for one of them."""
    assert icinga(output) == by_icinga
    assert nagios(output) == by_nagios


def test_external_command_is_parsed() -> None:
    """Semicolons separate the fields, except in the last; `\\n` is a line end."""
    command = nagios_command(r"[1700000000] PROCESS_SERVICE_CHECK_RESULT;h;s;2;a; b | c=1\nd \\n e")

    assert command[:4] == (1700000000, "h", "s", 2)
    assert nagios(command.output, is_escaped=True) == Reading("a: b", r"d \n e", "c=1")
    with pytest.raises(ValueError, match="PROCESS_HOST"):
        nagios_command("[1] PROCESS_HOST_CHECK_RESULT;h;2;a")


def test_guidelines_parser_reads_valid_metrics() -> None:
    """Labels with blanks are quoted; a value has digits and a known unit."""
    assert guidelines_metrics("'a b'=1.5s;2;@3:4;0 c=2B") == [
        Metric("a b", 1.5, "s", 2, None, 0),
        Metric("c", 2, "B"),
    ]
    for wrong in ("a=1e-05", "a=U x", "a b=1", "a=inf", "a=1x"):
        with pytest.raises(ValueError, match=r"."):
            guidelines_metrics(wrong)


def test_parsers_detect_accidental_metrics() -> None:
    """The parsers detect what a banner must never cause."""
    assert icinga_metrics(icinga("POP3 OK - said x|time=0s").perfdata) == [
        Metric("time", 0, "seconds")
    ]
    assert nagios("POP3 OK\nsaid x|time=0s").perfdata == "time=0s"
    assert in_macros("a`b$c") == "abc"
