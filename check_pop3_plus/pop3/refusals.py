"""Find the kind of a refusal in its response code or else in the words of the server. No I/O."""

import re
from collections.abc import Iterable
from functools import cache

from check_pop3_plus.model.failures import ADDRESS_BLOCKED, OAUTH_WANTED, Kind
from check_pop3_plus.pop3.grammar import Command, Reply

_READ = 512
"""Bytes of a reply that are searched for its reason: the longest line of RFC 2449 section 4."""

# A host name may contain any of the words below: tls.example.test.
_NAMES = re.compile(rb"\b[a-z]+://\S+|\S+@\S+|\b[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,}\b", re.I)

_BY_CODE = (
    ("IN-USE", Kind.IN_USE),
    ("LOGIN-DELAY", Kind.LOGIN_DELAY),
    ("SYS/TEMP", Kind.TEMPORARY),
    ("SYS", Kind.PERMANENT),  # any system problem; not the credentials (RFC 3206)
    ("AUTH", Kind.CREDENTIALS),
)

_TABLE = r"""
# The server says itself that user or password are wrong, whatever else it says.
wrong = (invalid|incorrect|wrong|bad|illegal|unknown|no such|check|verify)(\W+[\w-]+){0,3}?\W+(user|username|userid|name|password|passwd|passphrase|login|logon|credentials?|account)
  |(user|username|password|passwd|passphrase|login|logon|credentials?)(\W+[\w-]+){0,5}?\W+(invalid|incorrect|wrong|bad|unknown|mismatch(ed)?|do(es)? not match|not (correct|valid|accepted|recogni[sz]ed|found|known))
  |token refused
says_no = <wrong>|fail(ed|ure)|denied|rejected|incorrect
closed = locked([ -]?out)?|lockout|disabled|suspended|blocked|deactivated|inactive|barred|frozen|not (active|enabled)|banned|black-?listed|block-?listed|terminated|on hold
# "Plain-text login disabled" is not about a user, nor is a command that is disabled.
named_method = (user/pass|plain|login|basic|password|legacy|apop|cram-md5) auth\w*
pop_off = pop3?(/imap)?( access| service| protocol| log[io]ns?)?( is| was| has been)? (denied|disabled|off|blocked|suspended)
about_method = tls|ssl|(plain|clear)[- ]?text|encrypt\w*|insecure|unsecured?|commands?|mechanisms?|methods?|verb
  |pop3?( \w+){0,3} not \w+|<pop_off>|<named_method>
  |(or|before|gets?)( \w+){0,4} (locked|disabled|suspended|blocked)|will be \w+( \w+)? (after|if)
required = requi\w+|must|only|need(s|ed)?|mandatory|obligatory|disallow(s|ed)?
  |not (be )?(allow|permit|support|accept)(ed)?|(un)?permitted|forbidden|prohibited|before|without|until|first
  |(use|try|enable|via|switch to) (an? |the )?(start ?tls|stls|tls|ssl|encrypt\w*|secured?|pop3s|port 995)|use( \w+){1,3} (with|over) (tls|ssl)
cannot = (cannot|can ?not|can.t|couldn.t|(could|can) not|unable to|failed to)( \w+)?
not_supported = (not|no longer) (implemented|supported|recogni[sz]ed|understood|available|allowed|permitted|enabled|known|accepted|specified)
unknown = unknown|no such|unexpected|invalid|not valid|bad|unrecogni[sz]ed|unsupported|unimplemented|disabled|malformed|illegal|wrong|out of (order|sequence)|not found
method = commands?|mechanisms?|methods?|verbs?|auth(entication)? (type|scheme)

locked-out  # Exchange Online, Yahoo, MDaemon, Zimbra, Kerio, Axigen
  accounts?
  <closed>
  but <about_method>
locked-out  # Domino, hMailServer; not a mailbox that is "locked by another user"
  (?<!another )(?<!other )(user|username|logins?|logons?)
  <closed>
  but <about_method>|(maildrop|mailbox).* lock(ed)?|lock(ed)?.* (maildrop|mailbox)
locked-out
  mailbox|maildrop
  disabled|suspended|blocked|deactivated
  but <about_method>
locked-out
  mailbox|maildrop
  locked
  administrat\w+|postmaster|too many logins
locked-out
  accounts?( \w+){0,2} (closed|deleted|removed|expired|cancell?ed)
  but <wrong>|passw\w*
locked-out
  <address_blocked>|you( \w+){1,2} (banned|blocked|locked out)|brute[ -]?force
  but temporarily
locked-out  # Stalwart, Axigen, CommuniGate, GroupWise
  too many|excessive|<closed> (after|due to|because of|for)
  failed|bad|invalid|incorrect|wrong|unsuccessful|fail(ure)?s
  but <about_method>
locked-out
  (failed|bad|wrong|log[io]n|auth\w*|passw\w*)( \w+)? (attempts|tries)
  exceed(s|ed)?|reached
  but per (minute|hour)
in-use  # tpop3d, VPOP3, qpopper, UW, Teapop, Solid POP3, popa3d, mailutils, Cyrus; RFC 1939 section 7
  (dot)?lock(s|ed|ing)?( ?file)?
  mailbox(es)?|maildrops?|mail ?drop|(mail )?(file|spool)|folder|inbox|another|session|process|busy|dotlock
  but <wrong>
in-use
  (mailbox|maildrop|mail ?drop|database|mail file|account|resource)( \w+){0,2} (in[ -]use|used (by|with)|busy|opened( \w+)? by)|being read by
  |active( \w+)? session|session( is| still| already){0,2} (active|open|exists|in progress)
  |already (connected|logged[ -]?(in|on))|(concurrent|exclusive) access
  |another( \w+)? (process|session|client|connection|program)
  |only (one|1) (session|connection|login)|already have( \w+){1,3} (open|active)
  but <wrong>|not in use|no active|every [0-9]+|(per|an?) (minute|hour)
in-use  # Dovecot 2.4, Courier, Exchange, Kerio, MailEnable
  too many|maximum|max|exceed(s|ed)?|limit|(no more than|only have|at most) [0-9]+
  connections|sessions|(connection|session) (limit|count)|(concurrent|simultaneous)( \w+)? (logins?|logons?|users)
  but <wrong>|(my)?sql|ldap|database|back[ -]?end
login-delay  # Exchange Online, Mailu, Hotmail, Gmail
  too (often|frequent(ly)?)|rate[ -]?limit(s|ed|ing)?|exceeded the (login|logon)
  |(login|logon)s?( \w+)? (limit|rate|frequency|interval|delay)|logins per
  |too many( \w+)? (attempts|requests|logins|logons)|log[io]ns? too (fast|quickly)
  |between( \w+)? (checks|logins?|logons?|sessions)|too soon|interval is
  |(wait|every|less than) [0-9]+ (s|sec\w*|min\w*)|throttl(ed|ing)|less (often|frequently)
  |(connect(ed|ions?)?|log(ged)?[ -]?in|check(ed)?)( \w+){0,3} too recently|frequency (limit\w*|exceed\w*)
  |(hourly|daily) (limit|quota)|(per|this) (minute|hour)|rate( \w+)? too high|(check|poll(ing)?) interval
  |excessive (polling|log[io]ns?)|flood(ing)?( protection| control)?
  but <wrong>
temporary  # Courier, Mailu, older versions of Dovecot, Gmail; not "TLS 1.2 or later", nor Dutch, which has the word
  temporar(y|ily)(?! passw| file| dir)|(server|system)( is)? busy|too busy|grey-?list(ed|ing)?
  |overloaded|load( \w+)?( is)? too high|(shutting|going) down|restarting
  |(try|retry|again|back|come|please)( \w+){0,3} later|later (again|please)|come back in
  but <wrong>
temporary
  try( it)? again|retry
  but <says_no>
backend  # nginx, perdition, Exchange, Zimbra, Cyrus, qmail, vpopmail, dbmail
  internal( \w+){0,2} (error|failure|problem)|(un|not )available|unreachable
  |<cannot>( (?!mailbox|home)[\w-]+){0,3} (ldap|database|directory|(my)?sql|config\w*( file)?|socket)
  |authenticated but not connected|licen[cs]e( \w+)? (exceeded|expired|limit)
  |<cannot> (contact|connect|reach|write|allocate|fork|initiali[sz]e|load|retrieve)(?! from)
  |not be (contacted|reached)|unexpected error|fatal error|exception|broken pipe|no route to host|connection is closed
  |no( \w+)? space|out of memory|disk( is)? full|back[ -]?end|i/?o error|input/output error|read-only
  |(process|daemon|child)( has)? (died|exited)|panic|error occurred|(\w*sql\w*|ldap|radius|kerberos)( \w+)? failed
  |fork failed|too many open files|offline|stale|not mounted|connection refused\W*\Z
  |pam error|(proxy|upstream) error|error connecting
  |lost connection|not reachable|maintenance|crash(ed)?|not respond(ing)?
  |time(d)?[ -]?out|temporary (file|dir\w*)|query failed
  |(system|server|service|application|unknown|daemon|database|db|(my)?sql|ldap|configuration|storage|disk|host|network|dns|directory)( \w+)? (error|failure|problem|down|locked)
  but <wrong>|(mechanisms?|commands?|apop)( is| are)? not available
client-certificate  # nginx, Dovecot
  (certificate|cert)s?
  requir(e|es|ed)|must|present|provide|supply|errors?|(in)?valid|need(s|ed)?|no|not|expired|revoked|missing|verif\w+
  |unknown|untrusted|rejected|refused|failed
  but <wrong>
cleartext-refused  # Zimbra, hMailServer, Stalwart, Dovecot, Courier, Kerio
  tls|ssl|stls|start ?tls|starttls|encrypt(ion|ed)?|privacy|confidentiality|pop3s|port 995|security layer
  <required>
  but (ssl|tls) (user|account|password)s?
cleartext-refused
  (not|non)[ -](secured?|encrypted)|non[ -]?(tls|ssl)|insecure|unsecured?|unencrypted
  but <wrong>|(insecure|not secure) passw\w*|passw\w*( \w+)? (insecure|not secure)
cleartext-refused
  (plain|clear)[ -]?text|(?<!less )secured?(?! apps?| password)
  <required>|disabled|over|(no|refus\w+) (plain|clear)[ -]?text
  but <wrong>
cleartext-refused
  (plain|clear)[ -]?text( \w+)? (passw\w*|log[io]ns?|auth\w*|connections?)( \w+){0,2} not (accepted|allowed|supported|permitted)
cleartext-refused  # Cyrus; Exchange before TLS
  under a layer|not valid in this state
no-mechanism  # Courier, Exchange, James, Cyrus, popa3d
  <unknown>(\W+(?!user|pass)[\w-]+){0,2}?\W+<method>
  |<method>(\W+(?!user|pass)[\w-]+){0,3}?\W+(<unknown>|<not_supported>)
  |(auth( [a-z0-9-]+)?|apop)( is| are)? <not_supported>|(un|not )implemented
  |<named_method>( \w+){0,2}? (<unknown>|<not_supported>)|syntax error
  |in (this|(the )?current|(the )?authori[sz]ation) state|authorization state command|no auth( mechanisms?)?( \w+)? (here|supported)
  |user(/| and )pass <not_supported>|(bad|invalid|wrong) syntax|stronger auth\w*|use (apop|cram-md5|scram\S*|sasl)
  |not( a)? supported <method>|(do not|don.t|does not) (know|understand|recogni[sz]e|support)( \w+){0,2} <method>|basicauthblocked
  |<oauth_wanted>
  but (wrong|bad|invalid|incorrect) pass\w+
login-refused  # Not about the password either: POP access of a user, the address of this machine, a quota
  <pop_off>|pop3?(/imap)?( access| service| protocol)?( is| was)? not|(not|yet)( \w+){1,3} pop3?|access rights to this service
  |(ip|host|country|network)( \w+){0,3} not (allowed|authori[sz]ed|permitted)|not (allowed|authori[sz]ed|permitted) from
  |permission denied|denied by( \w+)? (filters?|polic(y|ies)|rules?)|(not|insufficient)( \w+)? rights
  |not (allowed|authori[sz]ed|permitted) (to (use|access)|for this)
  |(mail ?box|maildrop)( is)? full|over( \w+)? quota|quota( \w+)? exceeded
  but <wrong>
login-refused  # UW, qmail, Courier: about one mailbox
  maildir|inbox|mail ?(box|drop|file|spool)s?
  <cannot> (open|read|access|scan|find)|chdir|no|missing|not exist|failed|corrupt
  but <wrong>
credentials
  user(name|id|s)?|password?s?|passwd|pass ?phrase|logins?|log(ged)?[ -]?in|logons?|log[ -]on|auth|authenticat(e|ed|ion|or)
  |authori[sz](ation|ed)|credentials?|denied|accounts?|token|sign[ -]?(in|on)|pin|digest|apop|not registered
"""
"""Patterns with a name, then the classes of phrases: kind, patterns, and after `but` another one.

A class fits a text that has a match of every pattern, and none of the one after `but`. Patterns
match whole words, in any order and without regard to case; a line that begins with `|` continues
one. The first class that fits decides; what fits none is login-refused.
"""


@cache  # a login that succeeds needs none
def classes() -> list[tuple[Kind, list[bytes], list[bytes]]]:
    """Return each class of phrases: its kind, the patterns, and those that must not match."""
    named = {"address_blocked": ADDRESS_BLOCKED, "oauth_wanted": OAUTH_WANTED}
    found: list[tuple[Kind, list[bytes], list[bytes]]] = []
    for line in re.sub(r"\n +(?=\|)", "", _TABLE).split("\n"):
        text = re.sub(
            r"<(\w+)>", lambda name: f"(?:{named[name[1]]})", line.partition("#")[0].strip()
        )
        name, is_name, pattern = text.partition(" = ")
        if is_name:
            named[name] = pattern
        elif text and not line.startswith(" "):
            found.append((Kind(text), [], []))
        elif text:
            _, patterns, others = found[-1]
            words = text.removeprefix("but ")
            (patterns if words == text else others).append(rf"\b(?:{words})\b".encode())
    return found


_NO_MAILBOX = (
    rb"(no|unknown|never heard of)( such)? (mail ?box|maildrop)"
    rb"|(mail ?box|maildrop)( \S+)?( is| does)? (unknown|not (exist|found))"
)
"""A name that USER gave is unknown (RFC 1939 section 7)."""

_ABOUT_STAT = (
    Kind.LOCKED_OUT, Kind.IN_USE, Kind.LOGIN_DELAY, Kind.TEMPORARY, Kind.BACKEND,
)  # fmt: skip
_ABOUT_SERVICE = {
    Kind.IN_USE: Kind.GREETING_TEMPORARY,
    Kind.LOGIN_DELAY: Kind.GREETING_TEMPORARY,
    Kind.TEMPORARY: Kind.GREETING_TEMPORARY,
    Kind.CLIENT_CERTIFICATE: Kind.CLIENT_CERTIFICATE,
}


def login_kind(
    reply: Reply, command: Command, may_demand_tls: bool, names: Iterable[bytes] = ()
) -> Kind:
    """Return the kind of a refused login; `command` is the one that was refused.

    A response code wins (RFC 2449 section 8, RFC 3206), except [AUTH] if the text speaks of TLS,
    of a locked account or of the mechanism. `may_demand_tls` is False inside TLS, unless STLS is
    still offered: TLS then ends in front of the server.
    """
    coded = _kind_of_code(reply)
    if coded is Kind.CREDENTIALS:
        worded = _kind_of_words(reply, names, may_demand_tls)
        about_tls = (Kind.CLEARTEXT_REFUSED, Kind.CLIENT_CERTIFICATE)
        # Dovecot without PLAIN offers USER, and answers PASS by Unsupported authentication mechanism.
        return worded if worded in (*about_tls, Kind.LOCKED_OUT, Kind.NO_MECHANISM) else coded
    if coded:
        return coded
    if not reply.text.strip(b" .-"):
        if not command.before_secret:
            return Kind.CREDENTIALS
        return Kind.NO_MECHANISM if command.is_auth else Kind.LOGIN_REFUSED
    kind = _kind_of_words(reply, names, may_demand_tls)
    is_about_name = command.before_secret and not command.is_auth  # USER
    if kind is Kind.LOGIN_REFUSED and is_about_name and re.search(_NO_MAILBOX, reply.text, re.I):
        return Kind.CREDENTIALS
    return kind


def demands_tls(reply: Reply, names: Iterable[bytes] = ()) -> bool:
    """Return whether the words of a refused login demand TLS, whatever its response code is."""
    words = _kind_of_words(reply, names, may_demand_tls=True)
    return words is Kind.CLEARTEXT_REFUSED


def promises_right_password(reply: Reply) -> bool:
    """Return whether a response code says that the password was not the problem.

    Words do not: in a language that is unknown here they most often say "wrong password".
    """
    return _kind_of_code(reply) in (Kind.IN_USE, Kind.TEMPORARY)


def stat_kind(reply: Reply, names: Iterable[bytes] = ()) -> Kind:
    """Return the kind of a refused STAT: the login is withdrawn, or the mailbox is unreadable."""
    coded = _kind_of_code(reply)
    kind = coded or _kind_of_words(reply, names, may_demand_tls=False)
    return kind if coded or kind in _ABOUT_STAT else Kind.MAILBOX


def service_kind(reply: Reply, names: Iterable[bytes] = ()) -> Kind:
    """Return the kind of a refusal to serve anybody: a greeting, or CAPA inside TLS.

    A response code of the family SYS wins (RFC 3206). nginx's mail proxy refuses a session without
    a client certificate by `No required SSL certificate` and `The SSL certificate error`.
    """
    if is_of_system(reply):
        is_temporary = _kind_of_code(reply) is Kind.TEMPORARY
        return Kind.GREETING_TEMPORARY if is_temporary else Kind.GREETING
    worded = _kind_of_words(reply, names, may_demand_tls=False)
    return _ABOUT_SERVICE.get(worded, Kind.GREETING)


def is_of_system(reply: Reply) -> bool:
    """Return whether a response code says that the system has a problem (RFC 3206 section 4)."""
    return _kind_of_code(reply) in (Kind.TEMPORARY, Kind.PERMANENT)


def _kind_of_code(reply: Reply) -> Kind | None:
    """Return the kind of a response code, or None; codes are hierarchical (RFC 2449 section 8)."""
    for prefix, kind in _BY_CODE:
        if f"{reply.code}/".startswith(f"{prefix}/"):
            return kind
    return None


def blanked(text: bytes, names: Iterable[bytes] = ()) -> bytes:
    """Return the part of a text that is searched, without `names`, host names and URLs."""
    text = _NAMES.sub(b" ", text[:_READ])
    for name in filter(None, names):
        text = re.sub(rb"(?<!\w)" + re.escape(name) + rb"(?!\w)", b" ", text, flags=re.I)
    return text


def _kind_of_words(reply: Reply, names: Iterable[bytes], may_demand_tls: bool) -> Kind:
    """Return the kind of the first class of phrases that fits."""
    text = blanked(reply.text, names)

    def has(pattern: bytes) -> bool:
        return bool(re.search(pattern, text, re.I | re.S))

    for kind, patterns, others in classes():
        if kind is Kind.CLEARTEXT_REFUSED and not may_demand_tls:
            continue
        if all(map(has, patterns)) and not any(map(has, others)):
            return kind
    return Kind.LOGIN_REFUSED
