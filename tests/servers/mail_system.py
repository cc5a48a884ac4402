"""A private Postfix that delivers to a private Dovecot, in a root of its own."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from tests.pki.certificates import Pki
from tests.servers.chroots import DAEMON, MAIL, PASSWORD, Server
from tests.servers.dovecot_settings import in_syntax_of

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


class MailSystem(Server):
    """Postfix with local delivery by LMTP; subclasses break it."""

    package = "postfix"
    port_count = 6

    settings: ClassVar[str] = ""
    """Added to main.cf."""
    queue: ClassVar[str] = _QUEUE
    restrictions: ClassVar[str] = "permit_mynetworks,reject"

    def __init__(self, root: Path, ports: list[int]) -> None:
        super().__init__(root, ports[:5])
        self.tls, self.smtp, self.submission, self.smtps = ports[1:5]
        self.policy = ports[5]

    def furnish(self, pki: Pki) -> None:
        postfix, postdrop = DAEMON + 10, DAEMON + 11
        users = {"root": 0, "postfix": postfix, "dovecot": DAEMON, "monitor": MAIL}
        users |= {"nobody": 65534, "postgrey": DAEMON + 12}
        lines = [f"{name}:x:{uid}:{uid}::/:/bin/false\n" for name, uid in users.items()]
        self.write("etc/passwd", "".join(lines))
        groups = {**users, "postdrop": postdrop}
        self.write("etc/group", "".join(f"{name}:x:{gid}:\n" for name, gid in groups.items()))
        certificate, key = (path.read_bytes() for path in pki.files("good"))
        more = self.settings.format(uid=MAIL)
        restrictions = self.restrictions.format(policy=self.policy)
        self.write("etc/postfix/main.cf", _MAIN.format(restrictions=restrictions, more=more))
        ports = {"smtp": self.smtp, "submission": self.submission, "smtps": self.smtps}
        self.write("etc/postfix/master.cf", _MASTER.format(queue=self.queue, **ports))
        self.write("etc/postfix/tls.pem", key + certificate, mode=0o600)
        queues = "active bounce corrupt defer deferred flush hold incoming private saved trace"
        self.folder("var/spool/postfix")
        self.folder("var/spool/postfix/pid")
        for name in queues.split():
            self.folder(f"var/spool/postfix/{name}", postfix, 0o700)
        self.folder("var/spool/postfix/public", postfix, 0o710)
        self.folder("var/spool/postfix/maildrop", postfix, 0o730)
        self.folder("var/lib/postfix", postfix, 0o700)
        self.folder("var/lib/postgrey", DAEMON + 12)
        self.write("etc/dovecot/certificate.pem", certificate)
        self.write("etc/dovecot/key.pem", key, mode=0o600)
        self.write("etc/dovecot/passwd", f"monitor:{{PLAIN}}{PASSWORD}::::::\n", DAEMON, 0o600)
        text = _DOVECOT.replace("%PLAIN%", str(self.plain)).replace("%TLS%", str(self.tls))
        text = in_syntax_of(self.version("dovecot-core"), text.replace("%UID%", str(MAIL)))
        self.write("etc/dovecot/dovecot.conf", text)
        for part in ("", "/cur", "/new", "/tmp"):
            self.folder(f"{MAILDIR}{part}", MAIL, 0o700)
        self.own("home/monitor", MAIL, 0o700)
        for number in range(FOREIGN):
            flags = ("", "S", "RS")[number]
            text = f"From: a@example.test\nX-Number: {number}\n\n.dot line {number}\n"
            self.write(f"{MAILDIR}/cur/170000000{number}.M{number}P1.host:2,{flags}", text, MAIL)

    def script(self) -> str:
        return "\n".join(
            f"{self.command(*words)} &"
            for words in (
                ("/usr/sbin/dovecot", "-F"),
                ("/usr/lib/postfix/sbin/master",),
                *self.others(),
            )
        )

    def others(self) -> list[tuple[str, ...]]:
        """Return the commands of other servers."""
        return []

    def mailbox(self) -> dict[str, bytes]:
        return {name.rpartition("/")[2]: text for name, text in self.files(MAILDIR).items()}

    def messages(self) -> list[bytes]:
        found = self.mailbox()
        return [text for name, text in found.items() if "," in name or name[0].isdigit()]

    def foreign(self) -> dict[str, bytes]:
        """The messages that are no probes, by file name with flags."""
        found = self.mailbox()
        return {name: text for name, text in found.items() if b"X-Number: " in text}


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
