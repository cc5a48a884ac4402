"""Zones of IPv6 addresses, before the system's resolver sees them, and names without address."""

import socket

import pytest

from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.model.settings import Family, Target
from check_pop3_plus.net import resolve
from check_pop3_plus.support.deadline import Clock, Deadline


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("fe80::1%no-such-0", "network interface no-such-0 of fe80::1%no-such-0 does not exist"),
        ("fe80::1%99999", "network interface 99999 of fe80::1%99999 does not exist"),
        ("fe80::1%999999999999999", "does not exist"),
        ("::1%lo", "::1%lo is not link-local: leave out %lo"),
        ("2001:db8::1%lo", "2001:db8::1%lo is not link-local"),
        ("fe80::1", "fe80::1 is link-local: add the interface, as in fe80::1%eth0"),
        ("FEBF::1", "FEBF::1 is link-local"),
    ],
)
def test_zone_that_does_not_fit_the_address_is_our_mistake(address: str, said: str) -> None:
    """Neither the server nor the name service is to blame."""
    with pytest.raises(ProbeError) as caught:
        resolve.check_zone(address)

    assert caught.value.kind is Kind.CONFIG
    assert said in caught.value.message


@pytest.mark.parametrize(
    "address",
    ["fe80::1%lo", "fe80::1%1", "ff02::1%lo", "::1", "192.0.2.1", "fe80.example.org", "fec0::1"],
)
def test_zone_of_this_machine_passes(address: str) -> None:
    """The loopback interface is the first one on every machine."""
    resolve.check_zone(address)


def test_link_local_address_needs_no_zone_beside_that_of_the_source() -> None:
    """A socket that is bound to an interface connects by it (ipv6(7))."""
    resolve.check_zone("fe80::1", is_needed=False)


@pytest.mark.parametrize(
    ("family", "missing"),
    [(Family.ANY, ""), (Family.IPV4, "IPv4 "), (Family.IPV6, "IPv6 ")],
)
def test_look_up_without_address_names_the_family(
    family: Family, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name may have addresses of the other family only."""

    def getaddrinfo(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(ProbeError) as caught:
        resolve.look_up(Target("pop.example.test", 110, family=family), Deadline(Clock() + 5))

    assert caught.value.message == f"host name unknown or without {missing}address"
