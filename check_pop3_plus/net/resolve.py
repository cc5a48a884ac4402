"""Look up the addresses of a host name by the system's resolver, within a deadline."""

import re
import socket

from check_pop3_plus.model.failures import (
    DeadlineExceeded,
    Kind,
    ProbeError,
    config_error,
    is_shortage,
)
from check_pop3_plus.model.report import Address
from check_pop3_plus.model.settings import Family, Target
from check_pop3_plus.support.deadline import Deadline, run_with_deadline

_FAMILIES = {
    Family.ANY: socket.AF_UNSPEC,
    Family.IPV4: socket.AF_INET,
    Family.IPV6: socket.AF_INET6,
}

# Errors of getaddrinfo for a name without such an address; all others are resolver failures.
_NO_SUCH_NAME = {
    getattr(socket, name)
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
    if hasattr(socket, name)
}


def look_up(target: Target, deadline: Deadline) -> tuple[Address, ...]:
    """Return the addresses of a target in the system's order (RFC 6724), without duplicates.

    Raises ProbeError: unresolved (the name does not exist or has no address of this family),
    resolver (the DNS lookup failed), config (the zone of an address); DeadlineExceeded (resolver).
    """
    host = target.connect_to or target.hostname
    # The zone of a source address holds for both.
    check_zone(host, is_needed="%" not in (target.source_address or ""))
    try:
        return _addresses(host, target, socket.AI_NUMERICHOST)
    except socket.gaierror:
        pass  # a name: the lookup may take long
    try:
        return run_with_deadline(lambda: _addresses(host, target, 0), deadline)
    except DeadlineExceeded as error:
        raise DeadlineExceeded(Kind.RESOLVER, "no answer to the name lookup") from error
    except OSError as error:
        if is_shortage(error):
            raise config_error("cannot resolve {}", host, cause=error) from error
        if isinstance(error, socket.gaierror) and error.errno in _NO_SUCH_NAME:
            family = {Family.IPV4: "IPv4 ", Family.IPV6: "IPv6 "}.get(target.family, "")
            unknown = f"host name unknown or without {family}address"
            raise ProbeError(Kind.UNRESOLVED, unknown) from error
        reason = error.strerror or "unknown error"
        raise ProbeError(Kind.RESOLVER, "name lookup failed: {}", reason) from error


def check_zone(address: str, is_needed: bool = True) -> None:
    """Refuse an address without the zone that it needs, or with one that is no interface here.

    The C library would report a name that does not exist, or an invalid argument.
    """
    if "%" not in address and ":" not in address:
        return
    numeric, has_zone, zone = address.partition("%")
    if has_zone:
        try:
            socket.if_indextoname(int(zone)) if zone.isdigit() else socket.if_nametoindex(zone)
        except (OSError, OverflowError) as error:
            message = "network interface {} of {} does not exist; see ip link"
            raise config_error(message, zone, address) from error
    is_local = re.match("(?i)fe[89ab][0-9a-f]:", numeric)
    if is_local and is_needed and not has_zone:
        raise config_error("{} is link-local: add the interface, as in {}%eth0", address, address)
    if has_zone and not is_local and numeric[:2].lower() != "ff":  # multicast has scopes, too
        raise config_error("{} is not link-local: leave out %{}", address, zone)


def _addresses(host: str, target: Target, flags: int) -> tuple[Address, ...]:
    # As bytes: a str would load the idna codec, and `options` has converted it to A-labels.
    found = socket.getaddrinfo(
        host.encode("ascii"),
        target.port,
        _FAMILIES[target.family],
        socket.SOCK_STREAM,
        socket.IPPROTO_TCP,
        flags,
    )
    addresses = []
    for family, _, _, _, (numeric, port, *rest) in found:
        zone = rest[1] if rest else 0
        addresses.append(Address(str(numeric), int(port), family == socket.AF_INET6, zone))
    return tuple(dict.fromkeys(addresses))
