"""Our own candidates: what a peer is told to try (RFC 8445, 5.1; RFC 6544 for TCP)."""

from __future__ import annotations

import ipaddress
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

_TYPE_PREFERENCE = {"host": 126, "srflx": 100}
_TCP_LESS = 30
"""TCP last: it stalls where UDP loses."""


@dataclass(frozen=True, slots=True)
class Candidate:
    host: str
    port: int
    protocol: Literal["udp", "tcp"] = "udp"
    kind: Literal["host", "srflx"] = "host"
    preference: int = 65_535
    """Among ours of the same type: 0..65535, the highest is tried first."""
    related: tuple[str, int] | None = None
    """The host candidate behind a reflexive one."""

    @property
    def priority(self) -> int:
        """RFC 8445, section 5.1.2.1; the component is always 1 (RTCP shares its port)."""
        preference = _TYPE_PREFERENCE[self.kind] - (_TCP_LESS if self.protocol == "tcp" else 0)
        return (preference << 24) | (self.preference << 8) | 255

    @property
    def foundation(self) -> str:
        """The same for the same type, address and protocol: RFC 8445, section 5.1.1.3."""
        text = f"{self.kind}{self.related[0] if self.related else self.host}{self.protocol}"
        return str(zlib.crc32(text.encode()))

    def line(self) -> str:
        """As it follows `a=` in SDP, and as `RTCIceCandidate.candidate` has it: RFC 8839, 5.1."""
        text = (
            f"candidate:{self.foundation} 1 {self.protocol} {self.priority} "
            f"{self.host} {self.port} typ {self.kind}"
        )
        if self.related is not None:
            text += f" raddr {self.related[0]} rport {self.related[1]}"
        return text + " tcptype passive" if self.protocol == "tcp" else text


def plan_candidates(
    bound: Iterable[tuple[str, int]],
    *,
    public: Sequence[str] = (),
    mapped: tuple[str, int] | None = None,
    tcp_port: int | None = None,
) -> list[Candidate]:
    """What to offer for sockets `bound` to numeric addresses (wildcards already resolved).

    `public`: addresses that the operator says reach us, with the same ports (a 1:1 NAT, Docker's
    published ports): they go first and stand as host candidates, because a lite agent has no
    others that all peers take. `mapped`: what a STUN server saw. Each address gets a TCP twin
    where there is a `tcp_port`.
    """
    sockets = list(bound)
    port = sockets[0][1] if sockets else (tcp_port or 0)
    told = [(host, port) for host in public]
    hosts = list(dict.fromkeys(told + sorted(sockets, key=_rank)))
    found = [
        Candidate(host, at, preference=65_535 - index) for index, (host, at) in enumerate(hosts)
    ]
    if mapped is not None and mapped not in hosts:
        base = next((at for at in sockets if same_family(at[0], mapped[0])), None)
        found.append(Candidate(*mapped, kind="srflx", related=base or mapped))
    if tcp_port is not None:
        names = dict.fromkeys(host for host, _ in hosts)
        found += [
            Candidate(host, tcp_port, "tcp", preference=65_535 - index)
            for index, host in enumerate(names)
        ]
    return found


def only_private(candidates: Iterable[Candidate]) -> bool:
    """Nobody outside this network will reach us."""
    return not any(ipaddress.ip_address(found.host).is_global for found in candidates)


def same_family(one: str, other: str) -> bool:
    return (":" in one) == (":" in other)


def _rank(bound: tuple[str, int]) -> tuple[bool, bool, str]:
    """Global addresses first, IPv6 before IPv4 among them (RFC 8421)."""
    address = ipaddress.ip_address(bound[0])
    return not address.is_global, address.version == 4, bound[0]
