"""Two small servers without TLS, with one process per connection: popa3d and GNU mailutils."""

from __future__ import annotations

from tests.pki.certificates import Pki
from tests.servers.chroots import DAEMON, MAIL, MESSAGE, MESSAGES, Server

# The crypt(3) hash of PASSWORD.
_HASH = (
    "$6$3IXCZdWBCAMs3ZGa$6jdcA0.2zzFwhN9D8jc3O/bribHvtTcUNsHKUP7Q5ku5kcZy6EevEA7efmmMGAwApQKlKUvHy"
    "AXiBVHPw9JRC1"
)


class SmallServer(Server):
    """tcpserver (ucspi-tcp) listens; users are Unix accounts, mail is in mbox files."""

    port_count = 1
    program: str

    def furnish(self, pki: Pki) -> None:
        self.write(
            "etc/passwd",
            f"root:x:0:0::/:/bin/false\n"
            f"popa3d:x:{DAEMON}:{DAEMON}::/var/lib/popa3d:/bin/false\n"
            f"monitor:x:{MAIL}:{MAIL}::/home/monitor:/bin/false\n",
        )
        self.write("etc/group", f"root:x:0:\npopa3d:x:{DAEMON}:\nmail:x:{MAIL}:\n")
        self.write("etc/shadow", f"monitor:{_HASH}:20000:0:99999:7:::\n", mode=0o600)
        for kind in ("auth", "account"):
            self.write(f"etc/pam.d/common-{kind}", f"{kind} required pam_unix.so\n")
        self.write("etc/pam.d/mailutils", "@include common-auth\n@include common-account\n")
        self.folder("home/monitor", MAIL)
        self.folder("var/mail", MAIL, 0o2775)
        envelope = "From a@example.test Mon Nov 23 10:00:00 2026\n"
        mail = (envelope + MESSAGE.replace("\r", "") + "\n") * MESSAGES
        self.write("var/mail/monitor", mail, MAIL, 0o660)

    def script(self) -> str:
        server = self.command("tcpserver", "-H", "-R", "-l0", "127.0.0.1", self.plain)
        return f"{server} {self.program} &"

    def mailbox(self) -> dict[str, bytes]:
        return self.files("var/mail")

    def messages(self) -> list[bytes]:
        return [MESSAGE.encode()] * MESSAGES


class Popa3d(SmallServer):
    """Sends bare +OK and -ERR replies only."""

    package = "popa3d"
    program = "/usr/sbin/popa3d"


class Mailutils(SmallServer):
    """Locks the mailbox during a session."""

    package = "mailutils-pop3d"
    program = "/usr/sbin/pop3d --inetd"
