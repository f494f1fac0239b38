"""Where the plane listens. Nothing heavy is imported: the hub makes these."""

from __future__ import annotations

import ipaddress

import msgspec


class TurnOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The TURN server behind the same ports; what is not here has `TurnSettings`' default."""

    secrets: tuple[str, ...]
    """Sign time-limited credentials; several while one is being replaced."""
    bind: str = "127.0.0.1"
    """Where relay sockets are bound; numeric."""
    public: str = "127.0.0.1"
    """What clients and peers see of them; numeric."""
    bind6: str = ""
    public6: str = ""
    realm: str = "hubbub"
    first_port: int = 49_152
    last_port: int = 65_535
    allowed_peers: tuple[str, ...] = ()
    user_bps: int = 20_000_000
    user_allocations: int = 20

    def __repr__(self) -> str:
        return f"TurnOptions({self.public})"


class PlaneSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the plane listens and what it says of it."""

    hosts: tuple[str, ...] = ("127.0.0.1",)
    """Numeric; "0.0.0.0" and "::" mean each address of this machine, with a socket for each: what
    came to one is answered from it.
    """
    port: int = 0
    """UDP; 0: any."""
    tcp_port: int | None = None
    """ICE-TCP and TURN over TCP; None: none, 0: any."""
    or_any: bool = False
    """True: where one of the two is in use by another program, any free one will do."""
    public_hosts: tuple[str, ...] = ()
    """Numeric: how the world reaches these sockets where it is not by `hosts`, with the same ports:
    a 1:1 NAT, a container's published ports.
    """
    stun_server: str = ""
    """host:port of a STUN server that is asked for the public address; "": none."""
    turn: TurnOptions | None = None
    tls_certificate: str = ""
    """File of the chain in PEM form: TURN over TLS on the TCP port too; "": none."""
    tls_key: str = ""


def local_hosts(hosts: tuple[str, ...]) -> list[str]:
    """Wildcards become this machine's addresses; link-local ones need a zone and are left out.
    Loopback counts only where nothing else is there, or where it is named.
    """
    found: list[str] = []
    for host in hosts:
        if not ipaddress.ip_address(host).is_unspecified:
            found.append(host)
            continue
        version = ipaddress.ip_address(host).version
        ours = [one for one in _addresses() if one.version == version and not one.is_link_local]
        real = [one for one in ours if not one.is_loopback]
        found += [str(one) for one in real or ours]
    return list(dict.fromkeys(found))


def _addresses() -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    # It comes with the extra `calls`; the hub makes settings without it too.
    import ifaddr

    return [
        ipaddress.ip_address(ip.ip if isinstance(ip.ip, str) else ip.ip[0])
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
    ]
