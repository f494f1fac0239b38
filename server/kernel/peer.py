"""Whose address a connection has: the socket's, or what proxies that we trust say about it."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_HOPS = 32
"""Entries of X-Forwarded-For that are read, from the right; more is not a chain of proxies."""


class TrustedProxies:
    """The addresses and networks of `config.server.trusted_proxies`, parsed once.

    Raises:
        ValueError: an entry is neither an address nor a network.
    """

    def __init__(self, entries: Sequence[str]) -> None:
        self._networks: tuple[Network, ...] = tuple(
            ipaddress.ip_network(entry.strip(), strict=False) for entry in entries
        )

    def __contains__(self, address: str) -> bool:
        parsed = _parse(address)
        return parsed is not None and any(
            parsed.version == network.version and parsed in network for network in self._networks
        )

    def __bool__(self) -> bool:
        return bool(self._networks)


def peer_address(socket_peer: str, forwarded_for: Sequence[str], trusted: TrustedProxies) -> str:
    """The client's address.

    Args:
        socket_peer: the other end of the TCP connection ("" for a Unix socket).
        forwarded_for: the X-Forwarded-For header lines in order (each may hold several, by comma).
        trusted: the header counts only as far as each hop to its right is one of these.
    Returns:
        The right-most hop that is not a trusted proxy, in canonical form. An entry that is no
        address ends the walk: then it is the last proxy itself, so garbage never becomes a key.
    """
    if not trusted or socket_peer not in trusted:
        return canonical(socket_peer)
    entries = [entry.strip() for line in forwarded_for for entry in line.split(",")]
    address = canonical(socket_peer)
    for entry in reversed(entries[-MAX_HOPS:]):
        parsed = _parse(entry)
        if parsed is None:
            return address
        address = str(parsed)
        if address not in trusted:
            return address
    return address


def canonical(address: str) -> str:
    """The one spelling of an address: IPv4-mapped IPv6 becomes IPv4; other text stays as it is."""
    parsed = _parse(address)
    return address if parsed is None else str(parsed)


def limit_key(address: str) -> str:
    """What limits count by: an IPv4 address, or the /64 of an IPv6 one (a single host has all)."""
    parsed = _parse(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address if parsed is None else str(parsed)


def _parse(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address as proxies write it: plain, `[v6]`, `v4:port`, `[v6]:port`, or with a scope."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        parsed = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed
