"""A private Cyrus: the shipped configuration, with test users and every mechanism enabled."""

from __future__ import annotations

import re
from smtplib import LMTP

from tests.pki.certificates import Pki
from tests.servers.chroots import DAEMON, MESSAGE, MESSAGES, NAME, PASSWORD, TlsServer

_SERVICES = """
START {{
  recover cmd="ctl_cyrusdb -r"
}}
SERVICES {{
  plain cmd="pop3d" listen="127.0.0.1:{0}"
  tls cmd="pop3d -s" listen="127.0.0.1:{1}"
  strict cmd="pop3d" listen="127.0.0.1:{2}"
  delayed cmd="pop3d -s" listen="127.0.0.1:{3}"
  lmtp cmd="lmtpd -a" listen="127.0.0.1:{4}"
}}
EVENTS {{
}}
"""

# A setting that begins with the name of a service applies only to that service.
_SETTINGS = f"""
servername: {NAME}
autocreate_quota: 100000
autocreate_post: yes
popminpoll: 0
delayed_popminpoll: 1
strict_allowplaintext: no
allowapop: yes
popuseimapflags: yes
sasl_mech_list: PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256
tls_server_cert: /etc/cyrus.pem
tls_server_key: /etc/cyrus.pem
allowstarttls: on
"""
_FOLDERS = (
    *("run/cyrus", "run/cyrus/proc", "run/cyrus/lock", "run/cyrus/socket"),
    *("var/lib/cyrus", "var/lib/cyrus/db", "var/lib/cyrus/socket"),
    *("var/spool/cyrus", "var/spool/cyrus/mail"),
)
_REPLACED = ("popminpoll:", "autocreate_quota:")


class Cyrus(TlsServer):
    """The master process, with POP3 on four ports, and LMTP for delivery."""

    package = "cyrus-pop3d"
    port_count = 5

    greeting = f"+OK {NAME} Cyrus POP3 "
    mechanisms = ("user", "apop", "plain", "login", "cram-md5", "scram-sha-1", "scram-sha-256")
    capabilities = "TOP,UIDL,PIPELINING,USER,SASL=SCRAM-SHA-256"
    rejection = "badlogin: "

    def furnish(self, pki: Pki) -> None:
        self.write(
            "etc/passwd",
            f"root:x:0:0::/:/bin/false\ncyrus:x:{DAEMON}:{DAEMON}::/var/spool/cyrus:/bin/false\n",
        )
        self.write("etc/group", f"root:x:0:\nmail:x:{DAEMON}:\n")
        for folder in _FOLDERS:
            self.folder(folder, DAEMON, 0o750)
        certificate, key = (path.read_bytes() for path in pki.files("good"))
        self.write("etc/cyrus.pem", key + certificate, DAEMON, 0o600)
        self.write("etc/cyrus.conf", _SERVICES.format(*self.ports))
        shipped = (self.root / "etc" / "imapd.conf").read_text().splitlines(keepends=True)
        kept = (line for line in shipped if not line.startswith(_REPLACED))
        self.write("etc/imapd.conf", "".join(kept) + _SETTINGS)
        for user in ("monitor", "frequent"):
            self.run("saslpasswd2", "-p", "-c", "-u", NAME, user, stdin=PASSWORD)
        self.own("etc/sasldb2", DAEMON, 0o600)

    def script(self) -> str:
        self.delayed, self._lmtp = self.ports[3:]
        return f"{self.command('/usr/sbin/cyrmaster')} &"

    def settle(self) -> None:
        with LMTP("127.0.0.1", self._lmtp) as lmtp:
            # One recipient at a time: smtplib cannot read one reply for each (LMTP).
            for user in [*["monitor"] * MESSAGES, "frequent"]:
                lmtp.sendmail("a@example.test", [user], MESSAGE)
        [inbox] = self.run("/usr/lib/cyrus/bin/mbpath", "user.monitor").splitlines()
        self._folder = inbox.lstrip("/")

    def mailbox(self) -> dict[str, bytes]:
        """With flags; the header of the index contains the time of the last login."""
        files = self.files(self._folder)
        index = files["cyrus.index"]
        files["cyrus.index"] = index[int.from_bytes(index[12:16], "big") :]
        return files

    def messages(self) -> list[bytes]:
        files = self.files(self._folder)
        return [text for name, text in files.items() if re.fullmatch(r"\d+\.", name)]
