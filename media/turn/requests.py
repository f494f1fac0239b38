"""Refresh, CreatePermission and ChannelBind, on an allocation that the sender owns."""

from __future__ import annotations

from media.turn.allocations import Allocation, Channel
from media.turn.answers import Answers
from media.turn.authentication import Session
from media.turn.exchange import Flow, Output
from media.turn.lifetimes import granted_lifetime
from media.turn.peers import Peers
from media.turn.tables import Tables
from media.wire import attributes as a
from media.wire.addresses import decode_xor
from media.wire.framing import FIRST_CHANNEL, LAST_CHANNEL
from media.wire.stun import CHANNEL_BIND, CREATE_PERMISSION, REFRESH, Message


class Requests:
    """Each method answers; `None` inside stands for what cannot be read (400)."""

    def __init__(self, tables: Tables, answers: Answers, peers: Peers) -> None:
        self._tables = tables
        self._answers = answers
        self._peers = peers
        self._methods = {
            REFRESH: self._refresh,
            CREATE_PERMISSION: self._create_permission,
            CHANNEL_BIND: self._channel_bind,
        }

    def knows(self, method: int) -> bool:
        return method in self._methods

    def handle(self, request: Message, flow: Flow, session: Session, now: float) -> list[Output]:
        """RFC 8656, section 5: the allocation must exist and be the same user's."""
        allocation = self._tables.flows.get(flow)
        if allocation is None:
            return self._answers.refuse(request, flow, session, 437, "no_allocation")
        if allocation.account.username != session.account.username:
            return self._answers.refuse(request, flow, session, 441, "other_user")
        return self._methods[request.method](request, allocation, session, now)

    def _refuse(
        self, request: Message, allocation: Allocation, session: Session, code: int, why: str
    ) -> list[Output]:
        return self._answers.refuse(request, allocation.flow, session, code, why)

    def _refresh(
        self, request: Message, allocation: Allocation, session: Session, now: float
    ) -> list[Output]:
        """RFC 8656, section 8.2."""
        # 1. With a family, one that this allocation has.
        relayed = list(allocation.relayed.values())
        named = request.get(a.REQUESTED_ADDRESS_FAMILY)
        if named is not None:
            family = a.decode_first_byte(named)
            relayed = [one for one in relayed if one.family == family]
            if not relayed:
                return self._refuse(request, allocation, session, 443, "refresh_family")
        # 2. The lifetime: 0 deletes, else as for a new one, within the longest age.
        value = request.get(a.LIFETIME)
        if value is not None and len(value) != 4:
            return self._refuse(request, allocation, session, 400, "refresh_shape")
        lifetime = self._lifetime(a.decode_u32(value), allocation, now)
        # 3. The answer is signed before the allocation may be gone; a repeated 0 then gets 437.
        attributes = [(a.LIFETIME, lifetime.to_bytes(4, "big"))]
        outputs: list[Output] = [
            self._answers.accept(request, allocation.flow, session, attributes)
        ]
        for one in relayed:
            one.until = now + lifetime
            if lifetime == 0:
                outputs += self._tables.end_relay(one, "deleted", now)
            else:
                self._tables.schedule(one)
        return outputs

    def _lifetime(self, requested: int | None, allocation: Allocation, now: float) -> int:
        if requested == 0:
            return 0
        settings = self._tables.settings
        granted = granted_lifetime(
            requested, default=settings.default_lifetime_s, maximum=settings.max_lifetime_s
        )
        return max(0, min(granted, int(allocation.born + settings.max_age_s - now)))

    def _create_permission(
        self, request: Message, allocation: Allocation, session: Session, now: float
    ) -> list[Output]:
        """RFC 8656, section 10.2: all of the peers or none."""
        # 1. No more than the table holds: a datagram has room for 5,000, and each is judged.
        most = self._tables.settings.permissions
        values = request.every(a.XOR_PEER_ADDRESS)
        if len(values) > most:
            return self._refuse(request, allocation, session, 508, "permissions")
        # 2. At least one XOR-PEER-ADDRESS, all well formed.
        peers = [decode_xor(value, request.transaction) for value in values]
        if not peers or None in peers:
            return self._refuse(request, allocation, session, 400, "permission_shape")
        # 3. Of a family that is relayed, and not forbidden.
        granted: dict[str, bool] = {}
        for peer in peers:
            assert peer is not None
            if allocation.relay_to(peer) is None:
                return self._refuse(request, allocation, session, 443, "permission_peer")
            verdict = self._peers.verdict(peer[0])
            if verdict == "refused":
                return self._refuse(request, allocation, session, 403, "permission_peer")
            granted.update(dict.fromkeys(self._peers.wire_hosts(peer[0]), verdict == "own"))
        # 4. Within the table's bound.
        allocation.forget_expired(now)
        if len(allocation.permissions.keys() | granted) > most:
            return self._refuse(request, allocation, session, 508, "permissions")
        # 5. Installed or refreshed.
        for host, own in granted.items():
            allocation.permit(host, own=own, now=now)
        return [self._answers.accept(request, allocation.flow, session)]

    def _channel_bind(
        self, request: Message, allocation: Allocation, session: Session, now: float
    ) -> list[Output]:
        """RFC 8656, section 12.2."""
        # 1. CHANNEL-NUMBER within the range and one XOR-PEER-ADDRESS.
        number = a.decode_channel(request.get(a.CHANNEL_NUMBER))
        value = request.get(a.XOR_PEER_ADDRESS)
        peer = decode_xor(value, request.transaction) if value is not None else None
        if number is None or peer is None or not FIRST_CHANNEL <= number <= LAST_CHANNEL:
            return self._refuse(request, allocation, session, 400, "channel_shape")
        # 2. A peer that may be one.
        relayed = allocation.relay_to(peer)
        if relayed is None:
            return self._refuse(request, allocation, session, 443, "channel_peer")
        verdict = self._peers.verdict(peer[0])
        own = verdict == "own"
        if verdict == "refused" or peer[1] == 0 or (own and not self._peers.is_own(peer)):
            return self._refuse(request, allocation, session, 403, "channel_peer")
        # 3. Number and peer are free, or bound to each other.
        allocation.forget_expired(now)
        head, wire = number.to_bytes(2, "big"), self._peers.wire(peer)
        by_head, by_peer = allocation.by_head.get(head), allocation.by_peer.get(wire)
        if by_head is not by_peer:
            return self._refuse(request, allocation, session, 400, "channel_taken")
        # 4. Within the tables' bounds.
        bounds = self._tables.settings
        if by_head is None and len(allocation.by_head) >= bounds.channels:
            return self._refuse(request, allocation, session, 508, "channels")
        hosts = self._peers.wire_hosts(peer[0])
        if len(allocation.permissions.keys() | hosts) > bounds.permissions:
            return self._refuse(request, allocation, session, 508, "permissions")
        # 5. Channel and permission are made or refreshed.
        channel = by_head or Channel(head, peer=peer, wire=wire, relay=relayed.relay)
        allocation.bind(channel, now)
        if own:
            self._tables.watch(channel)
        for host in hosts:
            allocation.permit(host, own=own, now=now)
        return [self._answers.accept(request, allocation.flow, session)]
