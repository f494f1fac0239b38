"""Who may be a peer: never this machine's insides or a private network, however it is written.

An IPv6 address can carry an IPv4 one (mapped, compatible, translated, NAT64, 6to4, Teredo, ISATAP);
a relay that looks only at the outside reaches the inside. Ours looks at both.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address as _IPv4
from ipaddress import IPv6Address as _IPv6
from typing import Literal

from media.turn.settings import OwnAddress, RelayHost
from media.wire.addresses import Address, canonical, family_of

Verdict = Literal["open", "own", "refused"]

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_SPECIAL: list[_Network] = [
    ipaddress.ip_network(text)
    for text in (
        # IANA's special-purpose registry of IPv4, multicast and the reserved quarter.
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        # Of IPv6 only 2000::/3 is in use; what lies in it and is special follows.
        "2001:2::/48", "2001:10::/28", "2001:20::/28", "2001:db8::/32", "3fff::/20",
    )
]  # fmt: skip
_GLOBAL_IPV6 = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_SIX_TO_FOUR = ipaddress.ip_network("2002::/16")
_TEREDO = ipaddress.ip_network("2001::/32")
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})


class Peers:
    """Judges hosts and ports of peers. Our own media port and relayed addresses are always good."""

    def __init__(
        self,
        *,
        relays: tuple[RelayHost, ...],
        own: tuple[OwnAddress, ...],
        allowed: tuple[str, ...],
        refused: tuple[str, ...],
        is_relay_port: Callable[[int, int], bool],
    ) -> None:
        self._allowed = [ipaddress.ip_network(text) for text in allowed]
        self._refused = [ipaddress.ip_network(text) for text in refused]
        self._is_relay_port = is_relay_port
        media = [(_whole(address.public), _whole(address.wire)) for address in own]
        self._media = {public[:2]: wire for public, wire in media}
        self._media_back = {wire[:2]: public for public, wire in media}
        # A socket that is bound to all of a host's addresses is reached at the public one.
        self._bind = {
            canonical(r.public): canonical(r.public if _is_any(r.bind) else r.bind) for r in relays
        }
        self._bind_back = {bind: public for public, bind in self._bind.items()}
        self._own_hosts = set(self._bind) | {public[0] for public, _ in media}

    def verdict(self, host: str) -> Verdict:
        """`own`: only the ports that `is_own` knows."""
        number = ipaddress.ip_address(host)
        every: list[_IPv4 | _IPv6] = [number, *embedded(number)]
        if any(_within(one, self._refused) for one in every):
            return "refused"
        if all(_within(one, self._allowed) for one in every[1:] or every):
            return "open"
        if host in self._own_hosts:
            return "own"
        if any(is_special(one) and not _within(one, self._allowed) for one in every):
            return "refused"
        return "open"

    def is_own(self, peer: Address) -> bool:
        """`peer` as clients name it."""
        if peer[:2] in self._media:
            return True
        return peer[0] in self._bind and self._is_relay_port(family_of(peer), peer[1])

    def wire(self, peer: Address) -> Address:
        """Where packets to `peer` are sent: own addresses are reached without the NAT."""
        media = self._media.get(peer[:2])
        if media is not None:
            return media
        host = self._bind.get(peer[0], peer[0])
        return peer if host == peer[0] else _with_host(peer, host)

    def wire_hosts(self, host: str) -> set[str]:
        """All hosts that packets of the peer's host may come from."""
        media = {wire[0] for public, wire in self._media.items() if public[0] == host}
        return media | {self._bind.get(host, host)}

    def named(self, wire: Address) -> Address:
        """What `wire` turns around: the address as clients know it."""
        media = self._media_back.get(wire[:2])
        if media is not None:
            return media
        host = self._bind_back.get(wire[0], wire[0])
        return wire if host == wire[0] else _with_host(wire, host)


def is_special(number: _IPv4 | _IPv6) -> bool:
    """Not for the public network: loopback, link-local, private, multicast, reserved."""
    if isinstance(number, _IPv6) and number not in _GLOBAL_IPV6:
        return number not in _NAT64
    return _within(number, _SPECIAL)


def embedded(number: _IPv4 | _IPv6) -> Iterator[_IPv4]:
    """IPv4 addresses that an IPv6 one stands for."""
    if isinstance(number, _IPv4) or number.is_loopback or number.is_unspecified:
        return
    bits = int(number)
    last = _IPv4(bits & 0xFFFFFFFF)
    if number in _SIX_TO_FOUR:
        yield _IPv4(bits >> 80 & 0xFFFFFFFF)
    elif number in _TEREDO:
        yield _IPv4(bits >> 64 & 0xFFFFFFFF)
        yield _IPv4(~bits & 0xFFFFFFFF)
    elif number in _NAT64 or bits >> 48 == 0:
        # ::a.b.c.d, ::ffff:a.b.c.d; ::ffff:0:a.b.c.d (RFC 2765) lies outside 2000::/3 anyway.
        yield last
    if bits >> 32 & 0xFFFFFFFF in _ISATAP:
        yield last


def _within(number: _IPv4 | _IPv6, networks: list[_Network]) -> bool:
    return any(number in network for network in networks)


def _is_any(host: str) -> bool:
    return ipaddress.ip_address(host).is_unspecified


def _whole(address: Address) -> Address:
    """As a socket gives it: what is compared later comes from one."""
    host = canonical(address[0])
    return (host, address[1], 0, 0) if ":" in host else (host, address[1])


def _with_host(address: Address, host: str) -> Address:
    return (host, address[1]) if len(address) == 2 else (host, address[1], 0, 0)
