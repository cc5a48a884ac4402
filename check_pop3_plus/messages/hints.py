"""What to try, by kind of failure and by phase.

A hint depends on the kind, the phase, the options given and the words of the server; what the
findings of a diagnosis add is in `diagnosis/likely_cause`.
"""

import re
from functools import cache

from check_pop3_plus.messages.certificates import REPLACE
from check_pop3_plus.messages.formats import count, span
from check_pop3_plus.model.failures import ADDRESS_BLOCKED, OAUTH_WANTED, Failure, Kind, Phase
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.report import Report
from check_pop3_plus.model.settings import Security, Settings
from check_pop3_plus.support.deadline import days

_RENEW = "renew the certificate (or install the renewed intermediate) and reload the server; if it was renewed already, the server was not reloaded"
_ISSUER_NOT_GIVEN = "configure the server to send its intermediate certificates, or add the root certificate of its CA to the given trust store (--ca-file, --ca-path)"
_SLOW_LOGIN = "the authentication back end of the server is slow, another session locks the mailbox, or the server delays logins after failed ones from the same network (Dovecot: up to 15 s, also after failures of others behind the same address)"

_FAST_SECONDS = 0.01
"""A time below is usual in a local network."""

_LONGEST_DELAYED_LOGIN = 20
"""Seconds: the longest delay, and the login itself."""

_RENEWAL_SHARE = 1 / 3
"""ACME clients renew when this share of the lifetime is left (as Let's Encrypt advises)."""


class Advice(Record):
    """What to do about one finding, in lines of the long output."""

    kind: str
    """`kind: refused, in phase connect`"""
    hints: tuple[str, ...] = ()
    """`likely cause: ...`, `try: ...`"""


_TABLE = f"""
unresolved: check the spelling of the host name and its DNS zone
resolver: check the name servers of this machine (resolv.conf)
refused: the service is not running, or a packet filter rejects the connection
unreachable: check the route from this machine, and the packet filters along it
timeout: the server hangs or is overloaded; check its log
  connect: the host is down, or a packet filter drops the connection
  greeting: the server hangs, or this port expects TLS from the first byte (try -S) or a PROXY protocol header from a proxy in front of it
  greeting starttls: the server hangs, or this port expects TLS from the first byte (try -S in place of --starttls) or a PROXY protocol header from a proxy in front of it
  greeting ssl: the server hangs after the TLS handshake, or its back end does; check its log
  tls: the server hangs, or this is a plain-text port (try --starttls)
  tls starttls: the server hangs after STLS; check its log
  login: {_SLOW_LOGIN}
partial (some addresses fail):
closed (connection lost): the server crashed, was restarted, or dropped the connection; check its log
  greeting: an access list, a connection limit, a failing back end of the server, or it expects a PROXY protocol header (as HAProxy with accept-proxy does)
  login: the authentication back end of the server is slow or down
  tls: a misconfigured TLS service, an access list, or a proxy in front: its back end is down, or only one side uses the PROXY protocol
garbled (unexpected protocol data): a broken server, or a proxy or packet filter that changes the traffic
  greeting: another service on this port, TLS from the first byte (try -S), or a proxy in front sends a PROXY protocol header that the server does not expect
  greeting starttls: another service on this port, TLS from the first byte (try -S in place of --starttls), or a proxy in front sends a PROXY protocol header that the server does not expect
  greeting ssl: another service on this port, or a proxy in front sends a PROXY protocol header that the server does not expect
oversized (a reply exceeds its limit):
greeting (service refused): the server is up but refuses service; check its log
greeting-temporary (service refused for now): temporary, according to the server; check its log if it persists
expect (greeting without the expected text): the greeting changed: a different server, or an upgrade?
tls:
  tls: check whether this is a plain-text port (try --starttls)
  tls starttls: the server accepts STLS, but its TLS is broken or is not TLS; check its log
old-tls (TLS version or cipher too old): enable TLS 1.2 or 1.3 on the server; --tls-min 1.1 if it cannot
expired: {_RENEW}
not-yet-valid: check the clock of this machine; if it is right, the certificate was installed too early
name (certificate for another host): install a certificate that covers this name, or check the name in the certificate (-H, --sni)
untrusted (issuer of the certificate not trusted): configure the server to send its intermediate certificates; for a private CA or a self-signed certificate use --ca-file
weak (key or signature of the certificate too weak): issue a new certificate with a longer key and a SHA-256 signature
not-strict (certificate violates RFC 5280): reissue the certificates to conform to RFC 5280, or drop --x509-strict
client-certificate: the server requires a client certificate that it accepts: --client-cert and --client-key
no-stls (STLS not available): TLS is off on this port: enable it on the server, or use -S on port 995
injected (data injected before TLS): possible man-in-the-middle (command injection), or a broken server
no-capability (required capability missing): compare with the capabilities below: was a server setting lost?
no-mechanism (login method not available): choose another mechanism with --auth
  login plain: choose another mechanism with --auth, or use TLS (-S, --starttls): some servers know no login before it
cleartext-refused (login without TLS refused): use -S or --starttls
credentials: the server works but rejects the credentials (password, token or client certificate): wrong, changed or locked; repeated attempts may lock the account
locked-out: unlock the account on the server; pause this check until then, because each attempt may renew the lock
login-refused (login refused, reason unclear): the server does not say that the password is wrong: check its log for the reason
in-use (mailbox in use): another session holds the mailbox; use a dedicated mailbox for monitoring
login-delay (logins too frequent): raise the check interval above the login delay of the server
temporary (server trouble at login): not a wrong password: check the log of the server and its authentication back end
permanent (server trouble at login): not a wrong password: check the log of the server and its authentication back end
backend (server trouble at login): logins probably fail for all users: check the log of the server and its authentication back end (nginx answers a wrong password like this, too, unless proxy_pass_error_message is on)
mailbox (mailbox not readable): the login works; check the server log for the mailbox of this user
goodbye (no reply to QUIT):
certificate-unreadable: inspect the certificate with openssl s_client
cleartext-accepted (login without TLS possible): forbid cleartext logins on the server
injectable (accepts commands sent before TLS): update the server: it is vulnerable to STARTTLS command injection
legacy-tls (TLS older than 1.2 accepted): disable TLS 1.0 and 1.1 on the server
pin (not the pinned certificate): if the certificate was renewed, pin the new hash below; if not, suspect interception
issuer (not the expected issuer): find out who replaced the certificate; compare with the issuer below
not-deployed (not the certificate in the file): reload the server to load the new certificate
long-lived (lifetime too long): issue a certificate with a shorter lifetime
too-few (too few addresses work): see below which addresses failed
no-message (mailbox empty): no mail arrives, or all of it is fetched: --newest-... needs a mailbox that keeps mail
submission: the SMTP server takes no mail from this machine: check that it runs, its log, and the options --smtp-...
submission-temporary: temporary, according to the SMTP server (greylisting, load); check its log if it persists
undelivered: SMTP accepted the mail, and it is not in the mailbox: check the queue and the log of the mail server, the quota, the spam folder, and forwarding of the recipient
not-deleted: the server does not delete: check its log, and permissions and quota of the mailbox
slow (response time): check the load and the log of the server
  resolve: the name servers of this machine are slow (resolv.conf)
  connect: the network is slow or loses packets (ping, mtr), or the server is overloaded
  failed: repair the address that fails, or remove it from DNS: mail clients lose the same time
  login: {_SLOW_LOGIN}
expiring: {_RENEW}
messages (number of messages):
size (mailbox size):
stale (newest message too old): no mail arrives in this mailbox: check the queue and the log of the mail server that delivers to it, its quota, and the sender
unfetched (oldest message too old): nothing fetches the mail of this mailbox: check the program or person that should
delayed: check the queue of the mail server, its load and its content filters
config:
bug:
stopped:
"""
"""Each kind, in parentheses what its name does not say, and what to try: in general, and indented
in a phase, or in a phase with this security, instead."""


@cache  # a check that is OK needs no hint
def _table() -> tuple[dict[Kind, str], dict[tuple[Kind, str], str]]:
    """Return each kind with what it means, and the hints by kind and phase, "" in general."""
    names: dict[Kind, str] = {}
    found: dict[tuple[Kind, str], str] = {}
    for line in _TABLE.strip().split("\n"):
        head, _, text = line.partition(":")
        if line[0] != " ":
            kind = Kind(head.split()[0])
            names[kind] = head
        found[kind, head.strip() if line[0] == " " else ""] = text.strip()
    return names, found


_FROM_HERE = (
    r"\b(failures|failed|invalid|attempts)\b.* (from|by) (this|your) (ip|host|address|network)\b"
)
_TOO_MANY = r"\b(too many|maximum|limit|exceed\w*)\b.*\b(connections|sessions)\b"
_LIFT_BLOCK = "the server blocks the address of this machine: lift the block, and exempt this machine from it (fail2ban: ignoreip)"

_BY_WORDS = rf"""
login, stat
  its mechanisms:( (NTLM|GSSAPI|GSS-SPNEGO|KERBEROS_V4))+$
    the server offers only Windows or Kerberos logins, which are not supported here: enable PLAIN for this user, or check without a login
  its mechanisms: none$
    the server lists no login method: try --auth user or apop, or port 995 with -S
  its mechanisms:.* (XOAUTH2|OAUTHBEARER)\b|basic auth\w* (is |has been )?(disabled|blocked)|\b({OAUTH_WANTED})
    the server takes tokens instead of passwords: use --auth xoauth2 or oauthbearer
  TLS ends in front of the server
    let the proxy pass TLS through, or have the server trust the proxy (Dovecot: login_trusted_networks)
  \bapp(lication)?[- ](specific )?password  # Google, Yahoo
    create an app password for this user, and use it here
  \bweb login\b|\blog ?in (via|with|through|by)( your| a| the)?( web)? browser
    log in once in a browser with this account, or use an app password, or a token (--auth xoauth2)
  \bre-authentication failure  # perdition
    the proxy hides why the server behind it refused (wrong password, locked mailbox): check the log of that server
  \b(full|complete) (e-?mail|user ?name|address)  # hMailServer, MailEnable, Kerio
    the user name must be the full address: -U user@domain
  \bPOP3?( access| service| protocol)?\b.*\b(disabled|off|(not|isn.t) (enabled|allowed|permitted|activated|authori[sz]ed))\b|\b(not|isn.t|yet) \w+( \w+)?( for| to use)? POP|\bPOP3?( access)? denied|access rights to this service  # Gmail, Zimbra, Exchange
    enable POP access for this mailbox on the server
  \b(mail ?box|maildrop)( is)? full\b|\bquota\b
    the mailbox is full: delete mail in it, or raise its quota
  \b{ADDRESS_BLOCKED}\b|{_FROM_HERE}
    {_LIFT_BLOCK}
  {_TOO_MANY}  # Dovecot, Courier, Exchange
    a limit of connections is reached: raise it on the server (Dovecot: mail_max_userip_connections), or close other clients of this user
greeting
  ^is not POP3, looks like (?!TLS)
    another service listens on this port: check -H and -p (POP3 is on 110, with TLS on 995)
  \b{ADDRESS_BLOCKED}\b|\b(black|block)[- ]?list
    {_LIFT_BLOCK}
  {_TOO_MANY}
    a limit of connections is reached: raise it on the server, or find who uses them
  ^refuses .*(\b(access|host|address|client|ip|network|connections?)\b.*\b(denied|not (allowed|permitted|authori[sz]ed)|refused|rejected)\b|unauthori[sz]ed)
    an access list of the server refuses this machine: allow its address there
  ^no complete\b
    another service on this port, or the server hangs in the middle of a line
greeting plain
  ^refuses (?!.*\bcert)(.*\b(tls|stls|ssl|starttls|encrypt\w*)\b.*\b(requir\w+|must|only|needed|first)\b|.*\b(requir\w+|must|only|need|use)\b.*\b(tls|stls|ssl|encrypt\w*)\b)
    use -S (port 995) or --starttls
stls
  ^refuses STLS: .*\b(temporar\w+|later|errors?|fail\w*|internal|(un|not )available)\b
    the server offers STLS but cannot start TLS: check its certificate, its key and its log
  ^refuses STLS: .*\b(already|active)\b
    TLS is active already for the server: does a proxy in front of it end TLS?
note, greeting, login, stat
  ^(server )?sent unexpected data .* \(PROXY protocol\?\)$
    a proxy in front sends a PROXY protocol header that the server does not expect, or the server answers a command that was not sent
  ^(server )?sent unexpected data .*: (-ERR|\* BYE)\b
    the server ended the session by itself, for the reason that it gives: check its log
"""
"""What to try where the words of the server, or of this plugin, have a match of a pattern, without
regard to case: by the phase, or by the phase with this security; of a note there is no phase."""


@cache
def _by_words() -> list[tuple[str, str, str]]:
    """Return phase, pattern and hint of each rule; the first that fits decides."""
    found, heads, pattern = [], "", ""
    for line in _BY_WORDS.strip().split("\n"):
        text = line.partition("#")[0].strip()
        if line[:4].isspace():
            found += [(head, pattern, text) for head in heads.split(", ")]
        elif line[0] == " ":
            pattern = text
        else:
            heads = text
    return found


def hint(
    kind: Kind, phase: Phase | None, settings: Settings, report: Report, message: str = ""
) -> str:
    """Return what to try, or an empty text; `message` quotes the server.

    The phase of a slow session is the one with a limit of its own that was exceeded.
    """
    where = phase.value if phase else "note"
    security = settings.tls.security.value
    for head, pattern, text in _by_words():
        if head in (where, f"{where} {security}") and re.search(pattern, message, re.I):
            return text
    name = settings.tls.name
    if kind is Kind.NAME and (":" in name or name.replace(".", "").isdigit()):
        return (
            "certificates rarely cover addresses: check by a name that is in the certificate"
            f" (-H NAME --connect-to {name})"
        )
    if kind is Kind.UNTRUSTED and (settings.tls.ca_file or settings.tls.ca_path):
        return _ISSUER_NOT_GIVEN
    if kind is Kind.NAME and (text := _near_name(name.lower(), report)):
        return text
    if kind is Kind.EXPIRING and (text := _about_expiry(settings, report)):
        return text
    found = _table()[1]
    spent = ""
    if kind is Kind.SLOW:
        seconds = report.seconds()
        # That of SMTP is not part of `time`.
        counted = [phase] if phase else [each for each in seconds if each is not Phase.SMTP]
        whole = sum(seconds.get(each, 0.0) for each in counted)
        if whole < _FAST_SECONDS:
            return "so short a time depends on the load of this machine: choose another limit"
        if phase is None:
            phase = max(counted, key=seconds.__getitem__)
            where = phase.value
            if (kind, where) not in found:
                spent = f"{seconds[phase]:.3f} of {whole:.3f} s were spent in phase {where}: "
    general = found.get((kind, where), found[kind, ""])
    text = found.get((kind, f"{where} {security}"), general)
    is_short = kind is Kind.TIMEOUT and settings.limits.timeout < _LONGEST_DELAYED_LOGIN
    more = f"; allow for it with -t {_LONGEST_DELAYED_LOGIN}"
    return spent + text + (more if is_short and text == _SLOW_LOGIN else "")


def explained(kind: Kind) -> str:
    """Return the name of a kind and what it means: `garbled (unexpected protocol data)`."""
    return _table()[0][kind]


def _near_name(name: str, report: Report) -> str:
    """Return why a name in a certificate only seems to cover the host, or nothing."""
    leaves = (session.chain.leaf for session in report.with_certificates)
    for each in (each.lower() for leaf in leaves if leaf for each in leaf.names):
        begin, star, end = each.partition("*")
        if star and name.startswith(begin) and name.endswith(end):
            return (
                f"{each} does not cover this name: a wildcard stands for the whole first label, and"
                " only below two others (*.example.org, not *.org): install another certificate"
            )
        if each == f"{name}.":
            return "the name in the certificate ends with a dot and so never matches: reissue it"
    return ""


def _about_expiry(settings: Settings, report: Report) -> str:
    """Return that a limit of -D is above a third of the lifetime, or where the CA is, or nothing."""
    limits = settings.thresholds
    for chain in (session.chain for session in report.evaluated):
        leaf, ending = chain.leaf, chain.first_issuer_to_end
        left = leaf.days_left(report.clock) if leaf else None
        if leaf is None or left is None or leaf.lifetime is None:
            continue
        lifetime = days(leaf.lifetime)
        wanted = (limits.certificate_critical, limits.certificate_warning)
        in_days = [each.in_days(leaf.lifetime) or 0.0 for each in wanted if each]
        crossed = [limit for limit in in_days if limit > left]
        if crossed and crossed[0] > lifetime * _RENEWAL_SHARE:
            age = count(round(lifetime), "day") if lifetime >= 2 else span(leaf.lifetime)
            due = "" if left > lifetime * _RENEWAL_SHARE else "; its renewal is due, too"
            return (
                f"the limit of {crossed[0]:g} days (-D) is above a third of the lifetime"
                f" ({age}), at which certificates are usually renewed:"
                f" use -D 25%,10%{due}"
            )
        if crossed or ending is None:
            continue
        left = ending.days_left(report.clock)
        if left is not None and left < max(in_days, default=0.0) and chain.is_in_store(ending):
            return REPLACE
    return ""


def wrong_port(failure: Failure, settings: Settings) -> str:
    """Return what to do if the port is the standard port of another option, for line 1."""
    port, security = settings.target.port, settings.tls.security
    has_no_greeting = failure.phase is Phase.GREETING and failure.kind in (
        Kind.TIMEOUT,
        Kind.GARBLED,
    )
    if port == 995 and security is not Security.IMPLICIT and has_no_greeting:
        instead = " in place of --starttls" if security is Security.STLS else ""
        return f"port 995 expects TLS: use -S{instead}"
    is_plain_text = failure.kind is Kind.TLS and "plain text" in failure.message
    if port == 110 and security is Security.IMPLICIT and is_plain_text:
        implied = " (-D implies -S)" if settings.thresholds.certificate_warning else ""
        return f"use --starttls on port 110{implied}"
    return ""
