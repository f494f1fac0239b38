"""The relay path: each packet is read once, and most of it is one look into a table."""

from __future__ import annotations

from media.turn.exchange import Flow
from media.turn.peers import Peers
from media.turn.tables import Tables
from media.wire import attributes as a
from media.wire.addresses import Address, decode_xor, encode_xor
from media.wire.stun import DATA_METHOD, INDICATION, Message, build

_MOST_OF_IPV6 = 65_504
"""Bytes that a Data indication has room for beside an IPv6 address: STUN's length has 16 bits. The
longest datagram of IPv4 fits.
"""
_SEND_KNOWN = frozenset({a.XOR_PEER_ADDRESS, a.DATA, a.DONT_FRAGMENT})

OutOf = tuple[int, Address, bytes]
"""Relay socket, peer, payload: plain, since one is made for each packet."""


class Relay:
    """Both directions. What may not pass is None and counted in `tables.drops`."""

    def __init__(self, tables: Tables, peers: Peers, *, transaction_start: bytes) -> None:
        self._tables = tables
        self._peers = peers
        # A Data indication is not answered: its transaction id must be new, not secret.
        self._start = transaction_start[:4]
        self._count = int.from_bytes(transaction_start[4:12], "big")

    def channel_data(self, flow: Flow, data: bytes, now: float) -> OutOf | None:
        """A ChannelData message of a client: RFC 8656, section 12.6."""
        tables = self._tables
        allocation = tables.flows.get(flow)
        if allocation is None:
            tables.drops["no_allocation"] += 1
            return None
        channel = allocation.by_head.get(data[:2])
        if channel is None or now >= channel.until:
            tables.drops["no_channel"] += 1
            return None
        # Over UDP padding may follow; a length past the end is a torn packet.
        behind = 4 + (data[2] << 8 | data[3]) if len(data) >= 4 else 65_540
        if behind > len(data):
            tables.drops["channel_length"] += 1
            return None
        if not allocation.user.may_relay(behind, now):
            tables.drops["bandwidth"] += 1
            return None
        allocation.relayed_bytes += behind - 4
        return channel.relay, channel.wire, data[4:behind]

    def send(self, flow: Flow, message: Message, now: float) -> OutOf | None:
        """A Send indication: RFC 8656, section 11.2. DONT-FRAGMENT is the caller's to see."""
        refused = self._refuses_send(flow, message, now)
        if isinstance(refused, str):
            self._tables.drops[refused] += 1
            return None
        return refused

    def _refuses_send(self, flow: Flow, message: Message, now: float) -> OutOf | str:
        allocation = self._tables.flows.get(flow)
        if allocation is None:
            return "no_allocation"
        value, payload = message.get(a.XOR_PEER_ADDRESS), message.get(a.DATA)
        peer = decode_xor(value, message.transaction) if value is not None else None
        if peer is None or payload is None or message.unknown(_SEND_KNOWN):
            return "send_shape"
        relayed = allocation.relay_to(peer)
        if relayed is None:
            return "peer_family"
        wire = self._peers.wire(peer)
        permission = allocation.permissions.get(wire[0])
        if permission is None or now >= permission.until:
            channel = allocation.by_peer.get(wire)
            if channel is None or now >= channel.until:
                return "no_permission"
        elif permission.own and not self._peers.is_own(peer):
            return "peer_port"
        if peer[1] == 0:
            return "peer_port"
        if not allocation.user.may_relay(len(payload), now):
            return "bandwidth"
        allocation.relayed_bytes += len(payload)
        return relayed.relay, wire, payload

    def from_peer(
        self, relay: int, peer: Address, data: bytes, now: float
    ) -> tuple[Flow, bytes] | None:
        """ChannelData or a Data indication for the client: RFC 8656, sections 11.3 and 12.7."""
        tables = self._tables
        relayed = tables.relays.get(relay)
        allocation = relayed.allocation if relayed is not None else None
        if allocation is None:
            tables.drops["no_allocation"] += 1
            return None
        size = len(data)
        channel = allocation.by_peer.get(peer)
        if channel is not None and now < channel.until:
            if not allocation.user.may_relay(size, now):
                tables.drops["bandwidth"] += 1
                return None
            allocation.relayed_bytes += size
            return allocation.flow, channel.head + size.to_bytes(2, "big") + data
        permission = allocation.permissions.get(peer[0])
        if permission is None or now >= permission.until:
            tables.drops["no_permission"] += 1
            return None
        if size > _MOST_OF_IPV6 and len(peer) > 2:
            tables.drops["data_length"] += 1
            return None
        named = self._peers.named(peer)
        if permission.own and not self._peers.is_own(named):
            tables.drops["peer_port"] += 1
            return None
        if not allocation.user.may_relay(size, now):
            tables.drops["bandwidth"] += 1
            return None
        allocation.relayed_bytes += size
        return allocation.flow, self._indication(named, data)

    def _indication(self, peer: Address, data: bytes) -> bytes:
        self._count = (self._count + 1) & 0xFFFF_FFFF_FFFF_FFFF
        transaction = self._start + self._count.to_bytes(8, "big")
        attributes = ((a.XOR_PEER_ADDRESS, encode_xor(peer, transaction)), (a.DATA, data))
        return build(DATA_METHOD | INDICATION, transaction, attributes)
