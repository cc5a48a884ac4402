"""How the external tools are called."""

from pathlib import Path

import pytest

from check_pop3_plus.diagnosis import tools
from check_pop3_plus.diagnosis.tools import TOOLS
from check_pop3_plus.support.deadline import Clock, Deadline
from check_pop3_plus.support.programs import Programs


@pytest.mark.parametrize(
    "target", ["", "-f", "+trace", "@192.0.2.1", "a b", "a;b", "a\n", "$(id)", "a/b", ":" * 99]
)
@pytest.mark.parametrize("name", TOOLS)
def test_arguments_of_an_unsafe_target_raise(name: str, target: str) -> None:
    """A target cannot be an option; this is the last safeguard after the option parser."""
    with pytest.raises(ValueError, match=r"^not a target$"):
        TOOLS[name].arguments(target)
    with pytest.raises(ValueError, match=r"^not a target$"):
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


def test_arguments_without_a_source_are_options_and_target() -> None:
    """Numeric output, few packets, and short waits."""
    called = {name: " ".join(tool.arguments("192.0.2.1")) for name, tool in TOOLS.items()}

    assert called == {
        "ping": "-n -q -c 4 -i 0.3 -w 3 192.0.2.1",
        "mtr": "--no-dns --report --report-wide --report-cycles 3 --gracetime 1 192.0.2.1",
        "traceroute": "-n -q 1 -w 1 -m 20 192.0.2.1",
        "dig": "+tries=1 +time=2 +noall +comments +answer +authority +stats -t A -q 192.0.2.1",
    }
    assert [name for name, tool in TOOLS.items() if tool.is_about_name] == ["dig"]


def test_find_takes_the_first_directory_of_the_system_with_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PATH is not searched, and a file that cannot be executed is no program."""
    system = ("/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/local/sbin")
    assert system == tools.DIRECTORIES
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, mode in ((first, 0o644), (second, 0o755)):
        folder.mkdir()
        (folder / "ping").touch(mode)
    monkeypatch.setattr(tools, "DIRECTORIES", (str(first), str(second)))

    assert tools.find("ping") == str(second / "ping")
    assert tools.find("mtr") is None


def test_run_tool_has_a_clean_environment_and_limited_output() -> None:
    """Nothing of ours is passed, and both streams are read up to 8 KiB."""
    shown = "env; pwd; echo error >&2"
    output = tools.run_tool(Programs(), ["/bin/sh", "-c", shown], Deadline(Clock() + 10))
    lines = output.data.decode().splitlines()

    assert {"PATH=" + ":".join(tools.DIRECTORIES), "LC_ALL=C", "/", "error"} <= {*lines}
    assert {line.partition("=")[0] for line in lines if "=" in line} <= {
        *("PATH", "LC_ALL", "PWD", "OLDPWD", "SHLVL", "_")
    }
    assert output.code == 0
    assert tools.OUTPUT_LIMIT == 8192
