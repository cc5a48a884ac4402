"""Find the kind of a refusal in its response code or else in the words of the server. No I/O."""

import re
from collections.abc import Iterable

from check_pop3_plus.model.failures import ADDRESS_BLOCKED, Kind
from check_pop3_plus.model.record import Record
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


class Words(Record):
    """A class of phrases: it fits a text that has a match of every pattern, and none of `but`.

    Patterns match whole words, in any order and without regard to case.
    """

    kind: Kind
    patterns: tuple[bytes, ...]
    but: bytes | None = None


# The server says itself that user or password are wrong, whatever else it says.
_WRONG = (
    rb"(invalid|incorrect|wrong|bad|illegal|unknown|no such|check|verify)(\W+[\w-]+){0,3}?"
    rb"\W+(user|username|userid|name|password|passwd|passphrase|login|logon|credentials?|account)"
    rb"|(user|username|password|passwd|passphrase|login|logon|credentials?)(\W+[\w-]+){0,5}?"
    rb"\W+(invalid|incorrect|wrong|bad|unknown|mismatch(ed)?|do(es)? not match"
    rb"|not (correct|valid|accepted|recogni[sz]ed|found|known))|token refused"
)
_SAYS_NO = _WRONG + rb"|fail(ed|ure)|denied|rejected|incorrect"
_ACCOUNT_CLOSED = (
    rb"locked([ -]?out)?|lockout|disabled|suspended|blocked|deactivated|inactive|barred|frozen"
    rb"|not (active|enabled)|banned|black-?listed|block-?listed|terminated|on hold"
)
# "Plain-text login disabled" is not about a user, nor is a command that is disabled.
_NAMED_METHOD = rb"(user/pass|plain|login|basic|password|legacy|apop|cram-md5) auth\w*"
_ABOUT_METHOD = (
    rb"tls|ssl|(plain|clear)[- ]?text|encrypt\w*|insecure|unsecured?"
    rb"|commands?|mechanisms?|methods?|verb"
    rb"|pop3?( \w+){0,3} not \w+"
    rb"|" + _NAMED_METHOD + rb"|or( \w+){0,4} (locked|disabled|suspended|blocked)"
    rb"|will be \w+( \w+)? (after|if)"
)
_REQUIRED = (
    rb"requi\w+|must|only|need(s|ed)?|mandatory|obligatory|disallow(s|ed)?"
    rb"|not (be )?(allow|permit|support)(ed)?|(un)?permitted|forbidden|prohibited|before|without"
    rb"|until|first|(use|enable|via|switch to) (an? |the )?"
    rb"(start ?tls|stls|tls|ssl|encrypt\w*|secured?|pop3s|port 995)"
    rb"|use( \w+){1,3} (with|over) (tls|ssl)"
)
_CANNOT = rb"(cannot|can ?not|can't|couldn't|(could|can) not|unable to|failed to)( \w+)?"
_NOT_SUPPORTED = (
    rb"(not|no longer) (implemented|supported|recogni[sz]ed|understood|available|allowed|enabled"
    rb"|known|accepted)"
)
_UNKNOWN = (
    rb"unknown|no such|unexpected|invalid|not valid|bad|unrecogni[sz]ed|unsupported|unimplemented"
    rb"|disabled|malformed|illegal|wrong|out of (order|sequence)|not found"
)
_METHOD = rb"commands?|mechanisms?|methods?|verbs?|auth(entication)? (type|scheme)"

TABLE = (
    # Exchange Online, Yahoo, MDaemon, Zimbra, Kerio, Axigen
    Words(Kind.LOCKED_OUT, (rb"accounts?", _ACCOUNT_CLOSED), _ABOUT_METHOD),
    # Domino, hMailServer; not a mailbox that is "locked by another user"
    Words(
        Kind.LOCKED_OUT,
        (rb"(?<!another )(?<!other )(user|username|logins?|logons?)", _ACCOUNT_CLOSED),
        _ABOUT_METHOD + rb"|(maildrop|mailbox).* lock(ed)?|lock(ed)?.* (maildrop|mailbox)",
    ),
    Words(Kind.LOCKED_OUT, (rb"mailbox|maildrop", rb"disabled|suspended|blocked|deactivated")),
    Words(
        Kind.LOCKED_OUT,
        (rb"mailbox|maildrop", rb"locked", rb"administrat\w+|postmaster|too many logins"),
    ),
    Words(
        Kind.LOCKED_OUT,
        (rb"accounts?( \w+){0,2} (closed|deleted|removed|expired|cancell?ed)",),
        _WRONG + rb"|passw\w*",
    ),
    Words(
        Kind.LOCKED_OUT,
        (ADDRESS_BLOCKED.encode() + rb"|you( \w+){1,2} (banned|blocked)|brute[ -]?force",),
        rb"temporarily",
    ),
    # Stalwart, Axigen, CommuniGate, GroupWise
    Words(
        Kind.LOCKED_OUT,
        (
            rb"too many|excessive",
            rb"failed|bad|invalid|incorrect|wrong|unsuccessful|fail(ure)?s",
        ),
        _ABOUT_METHOD,
    ),
    # tpop3d, VPOP3, qpopper, UW, Teapop, Solid POP3, popa3d, mailutils, Cyrus; RFC 1939 section 7
    Words(
        Kind.IN_USE,
        (
            rb"(dot)?lock(s|ed|ing)?( ?file)?",
            rb"mailbox(es)?|maildrops?|mail ?drop|(mail )?(file|spool)|folder|inbox|another|session"
            rb"|process|busy|dotlock",
        ),
        _WRONG,
    ),
    Words(
        Kind.IN_USE,
        (
            rb"(mailbox|maildrop|mail ?drop|database)( \w+){0,2} (in[ -]use|used (by|with)|busy"
            rb"|opened by)|being read by|active( \w+)? session"
            rb"|session( is| still){0,2} (active|in progress)"
            rb"|already (connected|logged[ -]?(in|on))|(concurrent|exclusive) access"
            rb"|another( \w+)? (process|session|client|connection|program)"
            rb"|only (one|1) (session|connection|login)|already have( \w+){1,3} (open|active)",
        ),
        _WRONG + rb"|not in use|no active",
    ),
    # Dovecot 2.4, Courier, Exchange, Kerio, MailEnable
    Words(
        Kind.IN_USE,
        (
            rb"too many|maximum|max|exceed(s|ed)?|limit|(no more than|only have|at most) [0-9]+",
            rb"connections|sessions|(connection|session) (limit|count)"
            rb"|(concurrent|simultaneous)( \w+)? (logins?|logons?|users)",
        ),
        _WRONG + rb"|(my)?sql|ldap|database|back[ -]?end",
    ),
    # Exchange Online, Mailu, Hotmail, Gmail
    Words(
        Kind.LOGIN_DELAY,
        (
            rb"too (often|frequent(ly)?)|rate[ -]?limit(s|ed|ing)?|exceeded the (login|logon)"
            rb"|(login|logon)s?( \w+)? (limit|rate|frequency|interval|delay)|logins per"
            rb"|too many( \w+)? (attempts|requests|logins|logons)|log[io]ns? too (fast|quickly)"
            rb"|between( \w+)? (checks|logins?|logons?|sessions)|too soon|interval is"
            rb"|(wait|every|less than) [0-9]+ (s|sec\w*|min\w*)|throttl(ed|ing)"
            rb"|less (often|frequently)|(hourly|daily) (limit|quota)|(per|this) (minute|hour)"
            rb"|rate( \w+)? too high|(check|poll(ing)?) interval|excessive (polling|log[io]ns?)"
            rb"|flood(ing)?( protection| control)?",
        ),
        _WRONG,
    ),
    # Courier, Mailu, Dovecot's older versions, Gmail
    Words(
        Kind.TEMPORARY,
        (
            rb"temporar(y|ily)(?! passw| file| dir)|(server|system)( is)? busy|too busy"
            rb"|grey-?list(ed|ing)?"
            rb"|overloaded|load( \w+)?( is)? too high|(shutting|going) down|restarting"
            # not "TLS 1.2 or later", nor Dutch, which has the word
            rb"|(try|retry|again|back|come|please)( \w+){0,3} later|later (again|please)",
        ),
        _WRONG,
    ),
    Words(Kind.TEMPORARY, (rb"try( it)? again|retry",), _SAYS_NO),
    # nginx, perdition, Exchange, Zimbra, Cyrus, qmail, vpopmail, dbmail
    Words(
        Kind.BACKEND,
        (
            rb"internal( \w+){0,2} (error|failure|problem)|(un|not )available|unreachable"
            rb"|" + _CANNOT + rb"( (?!mailbox)[\w-]+){0,3} (ldap|database|directory|(my)?sql)"
            rb"|authenticated but not connected|licen[cs]e( \w+)? (exceeded|expired|limit)"
            rb"|" + _CANNOT + rb" (contact|connect|reach|write|allocate|fork|retrieve)(?! from)"
            rb"|not be (contacted|reached)|unexpected error|fatal error|exception|broken pipe"
            rb"|no route to host|connection is closed"
            rb"|no( \w+)? space|out of memory|disk( is)? full|back[ -]?end|i/?o error|read-only"
            rb"|fork failed|too many open files|offline|stale|not mounted|connection refused\W*\Z"
            rb"|pam error|(proxy|upstream) error|error connecting"
            rb"|lost connection|not reachable|maintenance|crash(ed)?|not respond(ing)?"
            rb"|time(d)?[ -]?out|temporary (file|dir\w*)|query failed"
            rb"|(system|server|service|daemon|database|db|(my)?sql|ldap|configuration|storage|disk"
            rb"|host|network|dns|directory)( \w+)? (error|failure|problem|down|locked)",
        ),
        _WRONG + rb"|(mechanisms?|commands?|apop)( is| are)? not available",
    ),
    # nginx, Dovecot
    Words(
        Kind.CLIENT_CERTIFICATE,
        (
            rb"(certificate|cert)s?",
            rb"requir(e|es|ed)|errors?|(in)?valid|need(s|ed)?|no|not|expired|revoked|missing|verif\w+"
            rb"|unknown|untrusted|rejected|refused|failed",
        ),
        _WRONG,
    ),
    # Zimbra, hMailServer, Stalwart, Dovecot, Courier, Kerio
    Words(
        Kind.CLEARTEXT_REFUSED,
        (
            rb"tls|ssl|stls|start ?tls|starttls|encrypt(ion|ed)?|privacy|confidentiality|pop3s"
            rb"|port 995|security layer",
            _REQUIRED,
        ),
        rb"(ssl|tls) (user|account|password)s?",
    ),
    Words(
        Kind.CLEARTEXT_REFUSED,
        (rb"(not|non)[ -](secured?|encrypted)|non[ -]?(tls|ssl)|insecure|unsecured?|unencrypted",),
        _WRONG + rb"|(insecure|not secure) passw\w*|passw\w*( \w+)? (insecure|not secure)",
    ),
    Words(
        Kind.CLEARTEXT_REFUSED,
        (
            rb"(plain|clear)[ -]?text|(?<!less )secured?(?! apps?| password)",
            _REQUIRED + rb"|disabled|over|(no|refus\w+) (plain|clear)[ -]?text",
        ),
        _WRONG,
    ),
    # Cyrus; Exchange before TLS
    Words(Kind.CLEARTEXT_REFUSED, (rb"under a layer|not valid in this state",)),
    # Courier, Exchange, James, Cyrus, popa3d
    Words(
        Kind.NO_MECHANISM,
        (
            rb"(" + _UNKNOWN + rb")(\W+(?!user|pass)[\w-]+){0,2}?\W+(" + _METHOD + rb")"
            rb"|(" + _METHOD + rb")(\W+(?!user|pass)[\w-]+){0,3}?"
            rb"\W+(" + _UNKNOWN + rb"|" + _NOT_SUPPORTED + rb")"
            rb"|(auth( [a-z0-9-]+)?|apop)( is| are)? " + _NOT_SUPPORTED + rb"|(un|not )implemented"
            rb"|" + _NAMED_METHOD + rb"( \w+){0,2}? (" + _UNKNOWN + rb"|" + _NOT_SUPPORTED + rb")"
            rb"|syntax error|(in this|in current) state|authorization state command"
            rb"|use (an? )?(oauth\w*|xoauth2|modern auth\w*)|no auth here",
        ),
        rb"(wrong|bad|invalid|incorrect) pass\w+",
    ),
    # Not about the password either: POP access of a user, the address of this machine, a quota
    Words(
        Kind.LOGIN_REFUSED,
        (
            rb"pop3?(/imap)?( access| service| protocol)?( is| was)? (not|denied|disabled|off)"
            rb"|(not|yet)( \w+){1,3} pop3?|access rights to this service"
            rb"|(ip|host|country|network)( \w+){0,3} not (allowed|authori[sz]ed|permitted)"
            rb"|not (allowed|authori[sz]ed|permitted) from"
            rb"|(mail ?box|maildrop)( is)? full|over( \w+)? quota|quota( \w+)? exceeded",
        ),
        _WRONG,
    ),
    # UW, qmail, Courier: about one mailbox
    Words(
        Kind.LOGIN_REFUSED,
        (
            rb"maildir|inbox|mail ?(box|drop|file|spool)s?",
            _CANNOT + rb" (open|read|access|scan|find)|chdir|no|missing|not exist|failed|corrupt",
        ),
        _WRONG,
    ),
    Words(
        Kind.CREDENTIALS,
        (
            rb"user(name|id|s)?|password?s?|passwd|pass ?phrase|logins?|log(ged)?[ -]?in|logons?"
            rb"|log[ -]on|auth|authenticat(e|ed|ion|or)|authori[sz](ation|ed)|credentials?|denied"
            rb"|accounts?|token|sign[ -]?(in|on)|pin|digest|apop|not registered",
        ),
    ),
)
"""The first class that fits decides; what fits none is login-refused."""

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

    A response code wins (RFC 2449 section 8, RFC 3206), except [AUTH] if the text speaks of TLS
    or of a locked account. `may_demand_tls` is False inside TLS, unless STLS is still offered:
    TLS then ends in front of the server.
    """
    coded = _kind_of_code(reply)
    if coded is Kind.CREDENTIALS:
        worded = _kind_of_words(reply, names, may_demand_tls)
        about_tls = (Kind.CLEARTEXT_REFUSED, Kind.CLIENT_CERTIFICATE)
        return worded if worded in (*about_tls, Kind.LOCKED_OUT) else coded
    if coded:
        return coded
    if not reply.text:
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
        return bool(re.search(rb"\b(?:" + pattern + rb")\b", text, re.I | re.S))

    for words in TABLE:
        if words.kind is Kind.CLEARTEXT_REFUSED and not may_demand_tls:
            continue
        if all(map(has, words.patterns)) and not (words.but and has(words.but)):
            return words.kind
    return Kind.LOGIN_REFUSED
