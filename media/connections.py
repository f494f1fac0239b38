"""What the seam (`media.api`) says of peer connections: plain structs, no packets.

A connection is one RTCPeerConnection of a device. The hub writes the SDP, so it makes the names and
passwords of ICE; certificate and candidates are the plane's, told once (`PlaneReady`). The peer's
candidates are not needed: a lite agent answers whoever proves the password.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from server.kernel.ids import DeviceId, UserId

Role = Literal["client", "server"]


class IceParameters(msgspec.Struct, frozen=True):
    """`a=ice-ufrag` and `a=ice-pwd` of one side."""

    ufrag: str
    password: str

    def __repr__(self) -> str:
        return f"IceParameters({self.ufrag})"


class RemoteEnd(msgspec.Struct, frozen=True):
    """What the peer's SDP says."""

    ice: IceParameters
    fingerprints: tuple[str, ...]
    """As they follow `a=fingerprint:`."""
    sctp_port: int | None = None
    """`a=sctp-port`; None: no data channels."""
    max_message_bytes: int = 65_536
    """`a=max-message-size`."""


# ---- commands ------------------------------------------------------------------------------------


class OpenConnection(msgspec.Struct, frozen=True, tag="open_connection"):
    """The device of an added peer may connect. `role`: ours in DTLS, "server" where our SDP says
    `setup:passive`. Without `remote` checks are answered already; DTLS waits for it.
    """

    connection_id: str
    call_id: str
    device_id: DeviceId
    local: IceParameters
    remote: RemoteEnd | None = None
    role: Role = "server"
    echo: bool = False
    """What comes goes back: RTP, RTCP and data channel messages. For `hubbub doctor`."""


class KnowRemote(msgspec.Struct, frozen=True, tag="know_remote"):
    """The answer came. `role` as in `OpenConnection`."""

    connection_id: str
    remote: RemoteEnd
    role: Role = "server"


class RestartIce(msgspec.Struct, frozen=True, tag="restart_ice"):
    """New names and passwords; DTLS and SRTP stay. The old ones count until the first check with
    the new ones.
    """

    connection_id: str
    local: IceParameters
    remote: IceParameters | None = None


class CloseConnection(msgspec.Struct, frozen=True, tag="close_connection"):
    """Nothing is reported of it any more. Fine for one that is not open."""

    connection_id: str


class RevokeUser(msgspec.Struct, frozen=True, tag="revoke_user"):
    """His TURN allocations end, and his tickets that expire by `tickets_until` (Unix seconds; 0:
    none) let nobody in any more, until the plane starts anew. New ones are the hub's not to sign.
    """

    user_id: UserId
    tickets_until: int = 0


class KnowTicket(msgspec.Struct, frozen=True, tag="know_ticket"):
    """A time-limited username was made: clients may show it as USERHASH (RFC 8489, 14.4)."""

    username: str


ConnectionCommand = (
    OpenConnection | KnowRemote | RestartIce | CloseConnection | RevokeUser | KnowTicket
)

# ---- reports -------------------------------------------------------------------------------------


class PlaneReady(msgspec.Struct, frozen=True, tag="plane_ready"):
    """What goes into each SDP; again when a candidate was found later (a STUN server's answer).

    Candidates as they follow `a=`. `only_private`: nobody outside this network will reach us.
    `hosts`, `port`, `tcp_port`: what the sockets are bound to, numeric.
    """

    fingerprint: str
    candidates: tuple[str, ...]
    only_private: bool = False
    hosts: tuple[str, ...] = ()
    port: int = 0
    tcp_port: int | None = None


class PathChosen(msgspec.Struct, frozen=True, tag="path_chosen"):
    """Where packets go from now on. `why`: see `media.ice.outputs.Selected`; `after_ms`: since the
    connection was opened.
    """

    connection_id: str
    protocol: Literal["udp", "tcp"]
    local: str
    remote: str
    why: str
    after_ms: float


class ConnectionUp(msgspec.Struct, frozen=True, tag="connection_up"):
    """DTLS is done and the certificate is the promised one; `after_ms` since it was opened."""

    connection_id: str
    after_ms: float
    srtp_profile: str | None


class ConnectionDown(msgspec.Struct, frozen=True, tag="connection_down"):
    """`reason`: "consent" and "gone" may end by themselves (a check arrives: `PathChosen`); the
    others are for good: "refused" (no such peer, the name is taken, too many), "fingerprint",
    "dtls" (`detail` says why), "closed" (by the peer).
    """

    connection_id: str
    reason: str
    detail: str = ""


class ConnectionStats(msgspec.Struct, frozen=True, tag="connection_stats"):
    """Every 5 s of a connection that is up; counts are since it was opened."""

    connection_id: str
    rtt_ms: float | None
    """Of the last connectivity check of ours that was answered."""
    packets_in: int
    bytes_in: int
    lost_in: int
    """RTP that never came, by the gaps in its sequence numbers."""
    packets_out: int
    bytes_out: int


class PlaneCounts(msgspec.Struct, frozen=True, tag="plane_counts"):
    """Every 5 s, for metrics. `drops`: datagrams that nothing came of, by reason, since the start.
    The reasons are words of the code, none is a peer's.
    """

    connections: int
    allocations: int
    drops: dict[str, int]


ConnectionReport = (
    PlaneReady | PathChosen | ConnectionUp | ConnectionDown | ConnectionStats | PlaneCounts
)
