"""A private Postfix or Exim that delivers to a private Dovecot, in a root of its own."""

from __future__ import annotations

import base64
import os
import signal
import smtplib
import time
from pathlib import Path
from typing import ClassVar

from tests.pki.certificates import Pki
from tests.servers.chroots import DAEMON, MAIL, PASSWORD, Server
from tests.servers.dovecot import TOKEN_KEY
from tests.servers.dovecot_settings import OAUTH2, in_syntax_of

DOMAIN = "example.test"
ADDRESS = f"monitor@{DOMAIN}"
SENDER = f"probe@{DOMAIN}"
FOREIGN = 3
"""Other messages in the mailbox."""

MAILDIR = "home/monitor/Maildir"

_MAIN = """
compatibility_level = 3.6
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.example.test
mydestination = example.test
mynetworks = 127.0.0.0/8
local_recipient_maps =
alias_maps =
alias_database =
mailbox_transport = lmtp:unix:private/dovecot-lmtp
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
smtpd_recipient_restrictions = {restrictions}
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_tls_chain_files = /etc/postfix/tls.pem
smtpd_tls_security_level = may
smtpd_sasl_type = dovecot
smtpd_sasl_path = private/auth
daemon_directory = /usr/lib/postfix/sbin
data_directory = /var/lib/postfix
queue_directory = /var/spool/postfix
{more}
"""

_MASTER = """
127.0.0.1:{smtp} inet n - n - - smtpd
127.0.0.1:{submission} inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt -o smtpd_sasl_auth_enable=yes
  -o smtpd_recipient_restrictions=permit_sasl_authenticated,reject
127.0.0.1:{smtps} inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes -o smtpd_sasl_auth_enable=yes
  -o smtpd_recipient_restrictions=permit_sasl_authenticated,reject
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
{queue}
"""

_EXIM = """
spool_directory = /var/spool/exim4
log_file_path = syslog
primary_hostname = mx.example.test
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
acl_smtp_rcpt = only_ours
begin acl
only_ours:
  accept domains = example.test
  deny
begin routers
ours:
  driver = accept
  transport = maildir
begin transports
maildir:
  driver = appendfile
  maildir_format
  directory = /home/monitor/Maildir
  create_directory = false
  user = monitor
  group = monitor
  mode = 0600
  delivery_date_add
  envelope_to_add
  return_path_add
"""

_POSTDROP = DAEMON + 11
_USERS = {
    "root": 0,
    "postfix": DAEMON + 10,
    "dovecot": DAEMON,
    "monitor": MAIL,
    "nobody": 65534,
    "postgrey": DAEMON + 12,
    "Debian-exim": DAEMON + 13,
}

_QUEUE = "qmgr unix n - n 300 1 qmgr"

_DOVECOT = """
protocols = pop3 lmtp
listen = 127.0.0.1
base_dir = /run/dovecot
default_internal_user = dovecot
default_internal_group = dovecot
default_login_user = dovecot
first_valid_uid = 1
mail_location = maildir:/home/monitor/Maildir
auth_username_format = %n
auth_failure_delay = 0
ssl = yes
ssl_cert = </etc/dovecot/certificate.pem
ssl_key = </etc/dovecot/key.pem
postmaster_address = postmaster@example.test
service stats {
  chroot =
}
service anvil {
  chroot =
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service pop3-login {
  chroot =
  inet_listener pop3 {
    port = %PLAIN%
  }
  inet_listener pop3s {
    port = %TLS%
    ssl = yes
  }
}
passdb {
  driver = passwd-file
  args = /etc/dovecot/passwd
}
userdb {
  driver = static
  args = uid=%UID% gid=%UID% home=/home/monitor
}
"""

_FOR_POSTFIX = """
service auth {
  unix_listener /var/spool/postfix/private/auth {
    mode = 0666
  }
}
service lmtp {
  unix_listener /var/spool/postfix/private/dovecot-lmtp {
    mode = 0666
  }
}
"""


class MailSystem(Server):
    """Postfix with local delivery by LMTP; subclasses break it."""

    package = "postfix"
    port_count = 6

    settings: ClassVar[str] = ""
    """Added to main.cf."""
    queue: ClassVar[str] = _QUEUE
    restrictions: ClassVar[str] = "permit_mynetworks,reject"
    dovecot: ClassVar[str] = _FOR_POSTFIX
    """Added to dovecot.conf."""

    def __init__(self, root: Path, ports: list[int]) -> None:
        super().__init__(root, ports[:5])
        self.tls, self.smtp, self.submission, self.smtps = ports[1:5]
        self.policy = ports[5]

    def furnish(self, pki: Pki) -> None:
        lines = [f"{name}:x:{uid}:{uid}::/:/bin/false\n" for name, uid in _USERS.items()]
        self.write("etc/passwd", "".join(lines))
        groups = {**_USERS, "postdrop": _POSTDROP}
        self.write("etc/group", "".join(f"{name}:x:{gid}:\n" for name, gid in groups.items()))
        certificate, key = (path.read_bytes() for path in pki.files("good"))
        self.write("etc/dovecot/certificate.pem", certificate)
        self.write("etc/dovecot/key.pem", key, mode=0o600)
        self.write("etc/dovecot/passwd", f"monitor:{{PLAIN}}{PASSWORD}::::::\n", DAEMON, 0o600)
        text = _DOVECOT.replace("%PLAIN%", str(self.plain)).replace("%TLS%", str(self.tls))
        text = text.replace("%UID%", str(MAIL)) + self.dovecot
        text = in_syntax_of(self.version("dovecot-core"), text)
        self.write("etc/dovecot/dovecot.conf", text)
        for part in ("", "/cur", "/new", "/tmp"):
            self.folder(f"{MAILDIR}{part}", MAIL, 0o700)
        self.own("home/monitor", MAIL, 0o700)
        for number in range(FOREIGN):
            flags = ("", "S", "RS")[number]
            text = f"From: a@example.test\nX-Number: {number}\n\n.dot line {number}\n"
            self.write(f"{MAILDIR}/cur/170000000{number}.M{number}P1.host:2,{flags}", text, MAIL)
        self.furnish_transfer(key + certificate)

    def furnish_transfer(self, pem: bytes) -> None:
        """Write the configuration of the mail transfer agent."""
        postfix = _USERS["postfix"]
        self.configure(self.settings.format(uid=MAIL))
        ports = {"smtp": self.smtp, "submission": self.submission, "smtps": self.smtps}
        self.write("etc/postfix/master.cf", _MASTER.format(queue=self.queue, **ports))
        self.write("etc/postfix/tls.pem", pem, mode=0o600)
        queues = "active bounce corrupt defer deferred flush hold incoming private saved trace"
        self.folder("var/spool/postfix")
        self.folder("var/spool/postfix/pid")
        for name in queues.split():
            self.folder(f"var/spool/postfix/{name}", postfix, 0o700)
        self.folder("var/spool/postfix/public", postfix, 0o710)
        self.folder("var/spool/postfix/maildrop", postfix, 0o730)
        self.folder("var/lib/postfix", postfix, 0o700)
        self.folder("var/lib/postgrey", _USERS["postgrey"])

    def configure(self, more: str) -> None:
        """Write main.cf."""
        restrictions = self.restrictions.format(policy=self.policy)
        self.write("etc/postfix/main.cf", _MAIN.format(restrictions=restrictions, more=more))

    transfer: ClassVar[tuple[str, ...]] = ("/usr/lib/postfix/sbin/master",)
    """The command of the mail transfer agent."""

    def script(self) -> str:
        commands = (("/usr/sbin/dovecot", "-F"), self.transfer, *self.others())
        return "\n".join(f"{self.command(*words)} &" for words in commands)

    def others(self) -> list[tuple[str, ...]]:
        """Return the commands of other servers."""
        return []

    def processes(self, *names: str) -> list[int]:
        """Return the processes of this system with one of these names."""
        return [
            int(folder.name)
            for folder in Path("/proc").iterdir()
            if folder.name.isdigit()
            and _read(folder / "comm").strip() in names
            and os.path.realpath(folder / "root") == str(self.root)
        ]

    def queued(self) -> list[Path]:
        """Return the files of the mail in the queue."""
        names = ("maildrop", "incoming", "active", "deferred", "hold")
        folders = [self.root / "var/spool/postfix" / name for name in names]
        return [path for each in folders for path in each.rglob("*") if path.is_file()]

    def repair(self) -> None:
        """Deliver as without the settings of the class, and what is queued."""
        self.configure("")
        for process in self.processes("master"):
            os.kill(process, signal.SIGHUP)
        time.sleep(1)
        self.run("/usr/sbin/postqueue", "-f")

    def put(self, message: bytes) -> None:
        """Put a message into the mailbox."""
        self.write(f"{MAILDIR}/new/{time.time_ns()}.M1P1.host", message, MAIL, 0o600)

    def send(self, message: bytes) -> None:
        """Send a message through the mail transfer agent."""
        with smtplib.SMTP("127.0.0.1", self.smtp, local_hostname="other.example.test") as client:
            client.sendmail("other@example.test", ADDRESS, message)

    def mailbox(self) -> dict[str, bytes]:
        return {name.rpartition("/")[2]: text for name, text in self.files(MAILDIR).items()}

    def messages(self) -> list[bytes]:
        found = {**self.files(f"{MAILDIR}/cur"), **self.files(f"{MAILDIR}/new")}
        return list(found.values())

    def foreign(self) -> dict[str, bytes]:
        """The messages that are no probes, by file name with flags."""
        found = self.mailbox()
        return {name: text for name, text in found.items() if b"X-Number: " in text}


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):  # it has ended
        return ""


class WithVirtual(MailSystem):
    """Delivery into the maildir by virtual(8), which adds no Received field."""

    settings = """
mydestination =
virtual_mailbox_domains = example.test
virtual_mailbox_base = /home
virtual_mailbox_maps = static:monitor/Maildir/
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{uid}
"""


class Deferred(MailSystem):
    """The transport is deferred, as with a broken back end or a full mailbox."""

    settings = "defer_transports = local"


class Stopped(MailSystem):
    """No queue manager runs."""

    queue = ""


class Greylisting(MailSystem):
    """postgrey refuses a new sender for an hour."""

    restrictions = "check_policy_service inet:127.0.0.1:{policy}, permit_mynetworks, reject"

    def others(self) -> list[tuple[str, ...]]:
        options = ("--delay=3600", "--dbdir=/var/lib/postgrey")
        whitelists = ("--whitelist-clients=/dev/null", "--whitelist-recipients=/dev/null")
        return [("/usr/sbin/postgrey", f"--inet=127.0.0.1:{self.policy}", *options, *whitelists)]


class WithExim(MailSystem):
    """Exim with delivery into the maildir, which adds fields above those of the probe."""

    package = "exim4-daemon-light"
    dovecot = ""
    transfer = ("/usr/sbin/exim4", "-bdf")

    def __init__(self, root: Path, ports: list[int]) -> None:
        super().__init__(root, ports)
        self.ports = [self.plain, self.tls, self.smtp]

    def furnish_transfer(self, pem: bytes) -> None:
        self.write("etc/exim4/exim4.conf", _EXIM.format(port=self.smtp))
        for part in ("spool", "log"):
            self.folder(f"var/{part}/exim4", _USERS["Debian-exim"], 0o750)


_QUOTA = """
mail_plugins = quota
plugin {
  quota = count:User quota
  quota_vsizes = yes
  quota_rule = *:messages=%COUNT%
  quota_status_success = DUNNO
  quota_status_nouser = DUNNO
  quota_status_overquota = 552 5.2.2 Mailbox is full
}
service quota-status {
  executable = quota-status -p postfix
  client_limit = 1
  unix_listener /var/spool/postfix/private/quota-status {
    mode = 0666
  }
}
""".replace("%COUNT%", str(FOREIGN))


class OverQuota(MailSystem):
    """Other mail fills the mailbox: its delivery is refused for good."""

    dovecot = _FOR_POSTFIX + _QUOTA


class OverQuotaForNow(OverQuota):
    """The mail stays in the queue of Postfix."""

    dovecot = OverQuota.dovecot + "quota_full_tempfail = yes\n"


class RefusedByQuota(OverQuota):
    """Postfix asks Dovecot before it accepts the mail."""

    restrictions = "check_policy_service unix:private/quota-status, permit_mynetworks, reject"


class SpamFolder(MailSystem):
    """A filter moves the probes into a folder that POP3 does not show."""

    dovecot = (
        _FOR_POSTFIX
        + """
protocol lmtp {
  mail_plugins = sieve
}
plugin {
  sieve_before = /etc/dovecot/spam.sieve
}
"""
    )

    def furnish(self, pki: Pki) -> None:
        super().furnish(pki)
        script = 'require ["fileinto", "mailbox"];\nfileinto :create "Junk";\n'
        self.write("etc/dovecot/spam.sieve", script)


class Slow(MailSystem):
    """Postfix waits between two deliveries."""

    settings = "local_destination_rate_delay = 8s"


class Duplicating(MailSystem):
    """Each mail is delivered twice."""

    settings = "always_bcc = monitor+copy@example.test"


class Losing(MailSystem):
    """Each mail is accepted and thrown away."""

    settings = "header_checks = static:DISCARD"


class WithTokens(MailSystem):
    """Dovecot verifies the tokens of both protocols itself, with the key of the tests."""

    dovecot = (
        _FOR_POSTFIX
        + """
auth_mechanisms = plain xoauth2 oauthbearer
passdb {
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = /etc/dovecot/oauth2
}
"""
    )

    def furnish(self, pki: Pki) -> None:
        super().furnish(pki)
        self.write("etc/dovecot/oauth2", OAUTH2.format(folder="/etc/dovecot"))
        self.write("etc/dovecot/keys/default/HS256/default", base64.b64encode(TOKEN_KEY))
