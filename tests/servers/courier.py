"""A private Courier: the shipped configuration, with test users and every mechanism enabled."""

from __future__ import annotations

from tests.pki.certificates import Pki
from tests.servers.chroots import DAEMON, MAIL, MESSAGE, MESSAGES, PASSWORD, TlsServer

_LOGIN = "/usr/lib/courier/courier/courierpop3login /usr/lib/courier/courier/courierpop3d Maildir"

# Like `pop3d start` and `pop3d-ssl start`, without courierlogger: standard error is the log.
_SCRIPT = """
{authdaemond} &
set -a
. '{etc}/pop3d'
. '{etc}/pop3d-ssl'
POP3AUTH=$POP3AUTH_ORIG POP3AUTH_TLS=$POP3AUTH_ORIG TLS_TRUSTCERTS= TLS_DHPARAMS= TLS_CACHEFILE=
tcpd='{tcpd} -address=127.0.0.1 -maxprocs=40 -maxperip=40'
$tcpd $TCPDOPTS {plain} {login} &
POP3_TLS_REQUIRED=1 $tcpd $TCPDOPTS {strict} {login} &
POP3_TLS=1 POP3_STARTTLS=NO $tcpd $TCPDOPTS {tls} \
    /usr/bin/couriertls -server -tcpd -user=courier {login} &
"""


class Courier(TlsServer):
    """couriertcpd on three ports, and authdaemond with a user database."""

    package = "courier-pop"
    port_count = 3

    greeting = "+OK Hello there."
    mechanisms = ("user", "plain", "login", "cram-md5")
    capabilities = "TOP,UIDL,PIPELINING,USER,SASL=CRAM-MD5"
    rejection = "LOGIN FAILED, "

    def furnish(self, pki: Pki) -> None:
        self.write(
            "etc/passwd",
            f"root:x:0:0::/:/bin/false\n"
            f"courier:x:{DAEMON}:{DAEMON}::/var/lib/courier:/bin/false\n"
            f"monitor:x:{MAIL}:{MAIL}::/home/monitor:/bin/false\n",
        )
        self.write("etc/group", f"root:x:0:\ncourier:x:{DAEMON}:\nmonitor:x:{MAIL}:\n")
        self.folder("run/courier", DAEMON)
        self.folder("run/courier/authdaemon", DAEMON, 0o750)
        self.folder("var/lib/courier", DAEMON)
        shipped = (self.root / "etc/courier/authdaemonrc").read_text()
        self.write(
            "etc/courier/authdaemonrc", shipped + '\nauthmodulelist="authuserdb"\n', DAEMON, 0o640
        )
        typed = f"{PASSWORD}\n{PASSWORD}\n"
        md5 = self.run("userdbpw", "-md5", stdin=typed).strip()
        hmac = self.run("userdbpw", "-hmac-md5", stdin=typed).strip()
        self.write(
            "etc/courier/userdb",
            f"monitor\tuid={MAIL}|gid={MAIL}|home=/home/monitor|mail=/home/monitor/Maildir"
            f"|systempw={md5}|hmac-md5pw={hmac}\n",
            mode=0o600,
        )
        self.run("makeuserdb")
        certificate, key = (path.read_bytes() for path in pki.files("good"))
        self.write("etc/courier/pop3d.pem", key + certificate, DAEMON, 0o600)
        for part in ("", "/cur", "/new", "/tmp"):
            self.folder(f"home/monitor/Maildir{part}", MAIL, 0o700)
        for number in range(MESSAGES):
            # In `cur`, because the first session would move it there.
            name = f"1700000000.M{number}P1.host:2,"
            self.write(f"home/monitor/Maildir/cur/{name}", MESSAGE.replace("\r", ""), MAIL, 0o600)

    def script(self) -> str:
        return _SCRIPT.format(
            authdaemond=self.command("/usr/lib/courier/courier-authlib/authdaemond"),
            tcpd=self.command("/usr/sbin/couriertcpd"),
            etc=self.root / "etc" / "courier",
            login=_LOGIN,
            plain=self.plain,
            tls=self.tls,
            strict=self.strict,
        )

    def mailbox(self) -> dict[str, bytes]:
        return self.files("home/monitor/Maildir")

    def messages(self) -> list[bytes]:
        files = self.files("home/monitor/Maildir/cur")
        return [text.replace(b"\n", b"\r\n") for text in files.values()]
