"""The documents match the plugin: options, kinds, commands and their output."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from check_pop3_plus import __version__
from check_pop3_plus.check.default_states import POLICIES
from check_pop3_plus.check.figures import LABELS
from check_pop3_plus.model.failures import Kind
from check_pop3_plus.model.settings import State
from check_pop3_plus.options import parser
from check_pop3_plus.options.table import SUBMIT_FORMS
from check_pop3_plus.output.prometheus_text import _HELP as METRICS
from tests.pki.certificates import Pki
from tests.servers.dovecot import Dovecot
from tests.support import documents, faults, generated, kinds_page, shown_world
from tests.support.command import run
from tests.support.documents import PAGES, PROJECT
from tests.support.in_process import Scenario, Script, Stage, said
from tests.support.option_list import FLAGS, VALUED

IMAGES = PROJECT / "images"
README = (PROJECT / "README.md").read_text()
KINDS = kinds_page.PAGE.read_text()
SECTIONS = kinds_page.sections(KINDS)


# --- options and secrets -----------------------------------------------------------------------


def test_option_list_is_generated_from_the_table() -> None:
    """The block is what `make generated` writes, and what `--help` prints."""
    page = generated.options_page()

    assert generated.OPTIONS.read_text() == page
    assert f"```\n{run('--help').out}```" in page


@pytest.mark.threat("T7")
def test_options_and_examples_contain_no_secret() -> None:
    """A process list, a stored check result and a log would show it."""
    about_secrets = {flag for flag in VALUED if re.search("pass|secret|token", flag)}
    assert about_secrets
    for flag in about_secrets:
        assert flag.endswith(("-file", "-env", "-command", "-url")), flag

    texts = [
        path.read_text()
        for path in (*PAGES, *(PROJECT / "icinga-templates").rglob("*.*"))
        if path.suffix in (".md", ".conf", ".cfg", ".ini")
    ]
    assert len(texts) > 5
    for text in texts:
        assert not re.findall(r"--(?:password|pass|secret|token)[ =]\S+", text)


# --- kinds -------------------------------------------------------------------------------------


def test_page_of_kinds_is_generated_from_the_table() -> None:
    """States and overview are those of the code, and each kind has one section."""
    assert kinds_page.rewritten(KINDS) == KINDS, "run `make generated`"
    assert sorted(each.kind.value for each in SECTIONS) == sorted(kind.value for kind in Kind)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda each: each.kind.value)
def test_kind_shows_a_status_line_that_a_test_has_produced(section: kinds_page.Section) -> None:
    """It is recorded, or the page shows a command with it; only notes have none."""
    known = kinds_page.lines(section.kind)
    for example in section.examples:
        assert any(line.startswith(example) for line in known), known

    is_note = POLICIES[section.kind].state is State.OK
    assert section.examples or documents.shown(section.text) or is_note


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage().set() as stage:
        yield stage


REPLIES = [(each.kind, *reply) for each in SECTIONS for reply in each.replies]


def test_page_of_kinds_quotes_servers() -> None:
    """Kinds that depend on the words of a server show some."""
    assert len(REPLIES) > 40


@pytest.mark.parametrize(("kind", "where", "reply"), REPLIES)
def test_reply_of_a_server_leads_to_the_kind_of_its_section(
    kind: Kind, where: str, reply: str, stage: Stage
) -> None:
    """The plugin reports this kind where a server sends that text."""
    line, method = reply.encode() + b"\r\n", None if where == "greeting" else "user"
    before = {
        "after USER without TLS": (b"+OK\r\n",),
        "after PASS": (b"+OK\r\n", b"+OK\r\n"),
        "after STAT": (b"+OK\r\n", b"+OK\r\n", b"+OK\r\n"),
    }.get(where, ())
    security = "plain" if where.endswith("without TLS") or where == "greeting" else "tls"
    turns = (*map(said, before), said(line), said(b"+OK\r\n"))
    played = stage.play(Script(Scenario(security, method), turns))

    assert re.findall(r"^kind: ([a-z-]+)", played.run.out, re.MULTILINE) == [kind.value]


# --- commands ----------------------------------------------------------------------------------

TEXTS = tuple(path.read_text() for path in PAGES)


def test_shown_output_is_that_of_the_command() -> None:
    """`make generated` runs the commands and writes their output."""
    outputs = iter(documents.outputs(TEXTS))

    for path, text in zip(PAGES, TEXTS, strict=True):
        assert documents.rewritten(text, outputs) == text, f"{path.name}: run `make generated`"


COMMANDS = [
    pytest.param(command, id=f"{path.name}: {command[:60]}")
    for path, text in zip(PAGES, TEXTS, strict=True)
    for command in documents.plugin_commands(text)
]


def test_documents_show_commands() -> None:
    """They are found in blocks and in the text."""
    assert len(COMMANDS) > 20


@pytest.mark.parametrize("command", COMMANDS)
def test_command_line_is_valid(command: str) -> None:
    """The plugin accepts every command line that a page shows, also those without output."""
    # The file of options is one that the page shows; the command may be an argument in quotes.
    words = [
        word
        for word in shlex.split(command.removesuffix("'"), comments=True)[1:]
        if not word.startswith("--extra-opts=customer@")
    ]
    if not command.endswith("[options]") and not words[0].startswith(
        ("--help", "--version", "--extra")
    ):
        parser.read(words)


def lines_with(page: str, *beginnings: str) -> list[str]:
    """Return the lines of a page that begin like this, in this order; each must exist."""
    lines = [line.strip() for line in (PROJECT / page).read_text().replace("\\\n", "").splitlines()]
    return [next(line for line in lines if line.startswith(each)) for each in beginnings]


def test_monitoring_user_reads_the_password_file() -> None:
    """The commands of the README: as made, the file can be read by this user and nobody else."""
    if os.geteuid():
        pytest.skip("only root can give a file to a group")
    install, test = lines_with("README.md", "install -o root", "setpriv")
    write = "sh -c 'echo correct horse >/etc/nagios/pop3.secret'"
    by_another = test.replace("id nagios", "id nobody")
    steps = ("rm /etc/nagios/pop3.secret", install, write, test, by_another)
    *_, accepted, refused = documents.run([("good", step, "") for step in steps])

    assert accepted.startswith("POP3 OK - pop.example.org:995 answered")
    assert "Permission denied" in refused


@pytest.mark.real
def test_dovecot_user_of_the_page_logs_in(dovecot: Dovecot, pki: Pki, tmp_path: Path) -> None:
    """The line of the passwd-file works from the network that it names, and from no other."""
    doveadm = shutil.which("doveadm") or pytest.skip("doveadm is not installed")
    configured = [doveadm, "-c", str(dovecot.folder / "dovecot.conf")]
    password = "correct horse"
    pw, line, test = lines_with(
        "docs/login.md", "doveadm pw", "monitor@example.org:{", "doveadm auth"
    )
    hashed = subprocess.check_output([*configured, *pw.split()[1:], "-p", password], text=True)
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text(password)
    with (dovecot.folder / "passwd").open("a") as file:
        for user, network in (("here", "127.0.0.0/8"), ("elsewhere", "192.0.2.10/32")):
            entry = line.replace("monitor@example.org", user).replace("192.0.2.10/32", network)
            file.write(entry.replace("{SHA512-CRYPT}$6$...", hashed.strip()) + "\n")
    time.sleep(1)  # Dovecot looks for a changed file at most once a second.
    place = ("-H", "localhost", "-4", "-p", str(dovecot.tls), "-S", "--ca-file", pki.ca_file)
    for user, code in (("here", 0), ("elsewhere", 2)):
        assert run(*place, "-U", user, "--password-file", secret).code == code

    words = test.replace("monitor@example.org", "elsewhere").split()[1:]
    tested = subprocess.run([*configured, *words, password], capture_output=True, text=True)
    assert "auth succeeded" in tested.stdout + tested.stderr


@pytest.mark.timeout(300)  # pip runs three times
def test_installation_of_the_readme_works(tmp_path: Path) -> None:
    """Installing, isolated mode, upgrading, removing, line by line; offline, in other places."""
    source = tmp_path / "source"
    left_out = shutil.ignore_patterns(".*", "tests", "build", "*.egg-info", "__pycache__")
    shutil.copytree(PROJECT, source, ignore=left_out)
    (tmp_path / "plugins").mkdir()
    # pip inverts the value of its variables whose names begin with NO and whose default is yes.
    offline = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0"}
    plugin = tmp_path / "plugins" / "check_pop3_plus"

    def line(command: str) -> None:
        command = command.replace("/usr/lib/nagios/plugins", f"{plugin.parent}")
        command = command.replace("/opt/", f"{tmp_path}/").replace("python3 ", f"{sys.executable} ")
        environment = {"PATH": os.environ["PATH"], **offline}
        done = subprocess.run(
            ["sh", "-ec", command], cwd=source, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"

    def version() -> str:
        return subprocess.run([plugin, "-V"], capture_output=True, text=True).stdout

    installing = README.partition("## Installing")[2].partition("## A first service")[0]
    blocks = re.findall(r"^```\n(.*?)^```$", installing, re.DOTALL | re.MULTILINE)
    make, *others = blocks[0].splitlines()
    line(make)
    packages = next((tmp_path / "check_pop3_plus").glob("lib/python*/site-packages"))
    # In place of what an index offers: the libraries of the tests, and their setuptools.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    for old in packages.glob("setuptools*"):
        shutil.rmtree(old)
    for command in others:
        line(command)
    assert version() == f"check_pop3_plus {__version__}\n"

    plugin.unlink()
    page = (PROJECT / "docs" / "install.md").read_text()
    line(page[page.index("cat >") :].partition("```")[0])
    assert version() == f"check_pop3_plus {__version__}\n"
    (upgrade,) = re.findall(r"`(/opt/\S+ install --upgrade \.)`", installing)
    line(upgrade)
    (remove,) = re.findall(r"`(rm -r [^`]+)`", installing)
    line(remove)
    assert not plugin.exists()


BY_HAND = ("good", "USER monitor\nPASS correct horse\nSTAT\nQUIT\n")


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_commands_of_openssl_work() -> None:
    """A login by hand, with TLS from the first byte and by STLS, and the chain verified again."""
    (by_hand,) = lines_with("docs/login.md", "openssl s_client")
    login = (PROJECT / "docs" / "login.md").read_text()
    by_stls = re.findall(r"`(openssl s_client .* -starttls pop3 .*)`", login)
    (verify,) = lines_with("docs/certificates.md", "openssl s_client")
    rehash = "openssl rehash /etc/ssl/certs"
    name, typed = BY_HAND
    steps = [
        (name, by_hand, typed),
        (name, by_stls[0], typed),
        (name, rehash, ""),
        (name, verify, ""),
    ]
    *sessions, _, verified = documents.run(steps)

    for session in sessions:
        assert "+OK Logged in" in session
        assert "+OK 12 34567" in session
    assert "Verify return code: 0 (ok)" in verified


def test_shell_blocks_have_no_syntax_error() -> None:
    """Each block of commands is valid for a shell, also those that need a mail server."""
    for text in TEXTS:
        for block in re.findall(r"^```\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
            if re.match(
                r"(python3|ln|cat|install|semanage|setpriv|openssl|doveadm|make) |/", block
            ):
                done = subprocess.run(["sh", "-n"], input=block.encode(), capture_output=True)
                assert done.returncode == 0, block


FOREIGN = {
    *("--rootcert", "--selfsigned", "--noauth", "--ignore-host-cn", "--resolve"),
    *("--fingerprint", "--maximum-validity", "--require-no-tls1", "--require-no-tls1_1"),
    "--collector.textfile.directory",
}
"""Options of check_ssl_cert that the README translates, and of node_exporter."""


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_options_in_the_text_exist(path: Path) -> None:
    """Each option in the text is one of the plugin."""
    spans = re.findall(r"`(--?[A-Za-z][^`]*)`", path.read_text())
    used = {word.partition("=")[0] for span in spans for word in span.split() if word[0] == "-"}
    long = {flag for flag in used if flag.startswith("--")}
    # `--newest-...` stands for several.
    groups = {flag for flag in long if flag.endswith("...")}

    assert long - groups <= FLAGS | FOREIGN
    assert all(any(flag.startswith(group[:-3]) for flag in FLAGS) for group in groups)


def test_pages_about_sweeps_name_every_submit_target() -> None:
    """The schemes are those of `--submit`."""
    for path in ("docs/sweep.md", "icinga-templates/sweep/README.md"):
        text = (PROJECT / path).read_text()
        assert [form for form in SUBMIT_FORMS if form.partition(":")[0] + ":" not in text] == []


def test_page_of_metrics_lists_every_label_with_its_unit() -> None:
    """Labels and units are those of the code and of the outputs that the documents show."""
    page = (PROJECT / "docs" / "metrics.md").read_text()
    rows = re.findall(r"^\| (`.+?`) \| (s|B|) ?\| ", page, re.MULTILINE)
    units = {label: unit for cell, unit in rows for label in re.findall(r"`(.+?)`", cell)}
    shown = [each.output for text in TEXTS for each in documents.shown(text)]
    measured = re.findall(r"[| ]([a-z_\d]+)=-?[\d.]+(s|B|)(?=[; \n]|$)", "\n".join(shown))

    assert set(LABELS) <= set(units)
    assert set(units) == {*LABELS, *faults.LABELS, "time_<address>", "cert_days_<address>"}
    assert len(measured) > 50
    for label, unit in measured:
        name = re.sub(r"(?<=time_|days_)\d+_.+", "<address>", label)
        assert units[name] == unit, label


def test_page_of_formats_lists_every_metric_of_prometheus() -> None:
    """Each metric stands there with its HELP text."""
    page = (PROJECT / "docs" / "json.md").read_text()

    assert dict(re.findall(r"^\| `(pop3_.+?)` \| (.+) \|$", page, re.MULTILINE)) == METRICS


def test_pages_show_the_files_that_are_read() -> None:
    """The outputs below them are those of these files."""
    assert shown_world.SWEEP in (PROJECT / "docs" / "sweep.md").read_text()
    assert shown_world.OPTIONS in (PROJECT / "docs" / "options.md").read_text()


# --- links and pictures ------------------------------------------------------------------------


LINKED = [*PROJECT.glob("*.md"), *(PROJECT / "icinga-templates").rglob("*.md"), *PAGES[1:]]


@pytest.mark.parametrize("path", LINKED, ids=lambda path: str(path.relative_to(PROJECT)))
def test_links_lead_to_a_file_and_a_heading(path: Path) -> None:
    """Each relative link names an existing file, and its anchor a heading of it."""
    for target, anchor in re.findall(
        r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)", path.read_text()
    ):
        file = (path.parent / target).resolve() if target else path
        assert file.exists(), target
        if anchor:
            assert anchor in documents.anchors(file.read_text()), f"{target}#{anchor}"


def test_pictures_exist_and_are_small() -> None:
    """Each is a PNG below 150 kB, and no file is unused."""
    shown = {
        Path(name).name
        for text in TEXTS
        for name in re.findall(r"!\[.+?\]\((\S+images/.+?|images/.+?)\)", text)
    }

    assert shown == {path.name for path in IMAGES.iterdir()}
    for path in IMAGES.iterdir():
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size < 150_000
