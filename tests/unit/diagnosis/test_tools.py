"""How the external tools are called."""

import pytest

from check_pop3_plus.diagnosis.tools import TOOLS


@pytest.mark.parametrize(
    "target", ["", "-f", "+trace", "@192.0.2.1", "a b", "a;b", "a\n", "$(id)", "a/b", ":" * 99]
)
@pytest.mark.parametrize("name", TOOLS)
def test_arguments_of_an_unsafe_target_raise(name: str, target: str) -> None:
    """A target cannot be an option; this is the last safeguard after the option parser."""
    with pytest.raises(ValueError, match="not a target"):
        TOOLS[name].arguments(target)
    with pytest.raises(ValueError, match="not a target"):
        TOOLS[name].arguments("192.0.2.1", target)


def test_arguments_with_a_source_bind_the_tool_to_it() -> None:
    """The source address comes before the target; dig has no such option here."""
    ends = {name: tool.arguments("192.0.2.1", "192.0.2.9")[-3:] for name, tool in TOOLS.items()}

    assert ends == {
        "ping": ["-I", "192.0.2.9", "192.0.2.1"],
        "mtr": ["--address", "192.0.2.9", "192.0.2.1"],
        "traceroute": ["-s", "192.0.2.9", "192.0.2.1"],
        "dig": ["A", "-q", "192.0.2.1"],
    }


def test_arguments_without_a_source_end_with_options_and_target() -> None:
    """Numeric output, few packets, and short waits."""
    assert " ".join(TOOLS["ping"].arguments("192.0.2.1")) == "-n -q -c 4 -i 0.3 -w 3 192.0.2.1"
