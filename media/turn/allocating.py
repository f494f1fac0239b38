"""The Allocate request (RFC 8656, section 7.2), the only one that waits: for its sockets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from media.turn.allocations import Allocation, Relayed
from media.turn.answers import Answers, failure
from media.turn.authentication import Session
from media.turn.exchange import (
    AllocationOpened,
    CloseRelay,
    Flow,
    OpenRelays,
    Output,
    ToClient,
)
from media.turn.lifetimes import RESERVATION_S, granted_lifetime
from media.turn.quotas import User
from media.turn.tables import Tables
from media.turn.wishes import Wish, read_wish
from media.wire import attributes as a
from media.wire.addresses import encode_xor
from media.wire.stun import Attribute, Message

_OPEN_TRIES = 16
"""A port of the range may be taken by another program; then another one is tried."""


@dataclass(slots=True)
class Pending:
    """An allocation whose relay sockets are being opened."""

    request: Message
    flow: Flow
    session: Session
    user: User
    wish: Wish
    waiting: dict[tuple[int, ...], tuple[int, tuple[int, ...]]] = field(default_factory=dict)
    """Relays asked for: their family and ports."""
    tries: dict[int, int] = field(default_factory=dict)
    got: dict[int, Relayed] = field(default_factory=dict)
    reserved: Relayed | None = None
    failed: dict[int, int] = field(default_factory=dict)
    """Error codes of families that could not be had."""


class Allocating:
    """From the request to the answer. At most one pending for each flow."""

    def __init__(
        self, tables: Tables, answers: Answers, random_bytes: Callable[[int], bytes]
    ) -> None:
        self._tables = tables
        self._answers = answers
        self._random_bytes = random_bytes
        self._by_flow: dict[Flow, Pending] = {}
        self._by_relays: dict[tuple[int, ...], Pending] = {}

    def __len__(self) -> int:
        return len(self._by_flow)

    def start(self, request: Message, flow: Flow, session: Session, now: float) -> list[Output]:
        tables = self._tables
        # 1. Authentication: done. 2. The 5-tuple must be free; a repeated request is answered anew.
        if flow in self._by_flow:
            return tables.drop("allocate_pending")
        existing = tables.flows.get(flow)
        if existing is not None:
            if existing.transaction == request.transaction:
                return [ToClient(flow, existing.response)]
            return self._answers.refuse(request, flow, session, 437, "allocation_exists")
        # 3.-9. What is asked for, and whether we have it.
        wish = read_wish(request)
        if isinstance(wish, int):
            return self._answers.refuse(request, flow, session, wish, "allocate_shape")
        if wish.token is not None:
            return self._take_reserved(request, flow, session, wish, now)
        if not any(family in tables.hosts for family in wish.families):
            return self._answers.refuse(request, flow, session, 440, "family")
        # 10. Quotas: of the user, then of the server.
        refused = self._over_quota(session, 1 + wish.pair)
        if refused is not None:
            return self._answers.refuse(request, flow, session, *refused)
        user = tables.users.add(session.account.user_id)
        pending = Pending(request, flow, session, user, wish)
        self._by_flow[flow] = pending
        outputs: list[Output] = []
        for family in wish.families:
            outputs += self._open(pending, family, now)
        return outputs + self._finish(pending, now)

    def opened(self, relays: tuple[int, ...], now: float) -> list[Output]:
        pending = self._by_relays.pop(relays, None)
        if pending is None:
            return [CloseRelay(relay) for relay in relays]
        family, ports = pending.waiting.pop(relays)
        host = self._tables.hosts[family]
        made = [
            Relayed(relay, host=host, port=port, family=family, until=now + RESERVATION_S)
            for relay, port in zip(relays, ports, strict=True)
        ]
        pending.got[family] = made[0]
        pending.reserved = made[1] if len(made) > 1 else None
        return self._finish(pending, now)

    def refused(self, relays: tuple[int, ...], now: float) -> list[Output]:
        pending = self._by_relays.pop(relays, None)
        if pending is None:
            return self._tables.drop("unknown_relays")
        family, ports = pending.waiting.pop(relays)
        # Taken first and released then: the next try does not meet them again.
        outputs = self._open(pending, family, now)
        for port in ports:
            self._tables.ports[family].release(port)
        return outputs + self._finish(pending, now)

    def abandon(self, flow: Flow) -> list[Output]:
        """The client is gone before its sockets came."""
        pending = self._by_flow.get(flow)
        return self._give_up(pending) if pending is not None else []

    def _over_quota(self, session: Session, wanted: int) -> tuple[int, str] | None:
        tables, settings = self._tables, self._tables.settings
        held = tables.users.held_by(session.account.user_id)
        if held + wanted > settings.user_allocations:
            return 486, "user_allocations"
        if len(tables.flows) + len(self._by_flow) >= settings.allocations:
            return 508, "allocations"
        return None

    def _open(self, pending: Pending, family: int, now: float) -> list[Output]:
        if family not in self._tables.hosts:
            pending.failed[family] = 440
            return []
        pending.tries[family] = pending.tries.get(family, 0) + 1
        wish = pending.wish
        ports = None
        if pending.tries[family] <= _OPEN_TRIES:
            ports = self._tables.ports[family].pick(even=wish.even, pair=wish.pair)
        if ports is None:
            pending.failed[family] = 508
            return []
        relays = tuple(self._tables.number() for _ in ports)
        pending.waiting[relays] = family, ports
        self._by_relays[relays] = pending
        return [OpenRelays(relays, self._tables.binds[family], ports)]

    def _finish(self, pending: Pending, now: float) -> list[Output]:
        """Nothing while a socket is awaited; else the success, or the failure of all families."""
        if pending.waiting or pending.flow not in self._by_flow:
            return []
        code = pending.failed.get(pending.wish.families[0])
        # Of two families one is enough: the other's failure is told beside it.
        if code is not None and not pending.got:
            outputs = self._give_up(pending)
            return outputs + self._answers.refuse(
                pending.request, pending.flow, pending.session, code, "no_relay"
            )
        del self._by_flow[pending.flow]
        return self._allocate(pending, now)

    def _give_up(self, pending: Pending) -> list[Output]:
        tables = self._tables
        outputs: list[Output] = []
        for relayed in (*pending.got.values(), pending.reserved):
            if relayed is not None:
                tables.ports[relayed.family].release(relayed.port)
                outputs.append(CloseRelay(relayed.relay))
        for relays, (family, ports) in pending.waiting.items():
            del self._by_relays[relays]
            for port in ports:
                tables.ports[family].release(port)
        del self._by_flow[pending.flow]
        tables.users.release(pending.user)
        return outputs

    def _take_reserved(
        self, request: Message, flow: Flow, session: Session, wish: Wish, now: float
    ) -> list[Output]:
        relayed = self._tables.reserved.get(wish.token or b"")
        if relayed is None:
            return self._answers.refuse(request, flow, session, 508, "reservation")
        # Whoever reserved it holds it already: for him it is not one more.
        holder = relayed.holder
        own = holder is not None and holder.user_id == session.account.user_id
        refused = self._over_quota(session, 0 if own else 1)
        if refused is not None:
            return self._answers.refuse(request, flow, session, *refused)
        del self._tables.reserved[wish.token or b""]
        self._tables.free_holder(relayed)
        user = self._tables.users.add(session.account.user_id)
        pending = Pending(request, flow, session, user, wish, got={relayed.family: relayed})
        return self._allocate(pending, now)

    def _allocate(self, pending: Pending, now: float) -> list[Output]:
        """All is there: the tables are filled and the response is kept for repeated requests."""
        tables, flow, session = self._tables, pending.flow, pending.session
        lifetime = granted_lifetime(
            pending.wish.lifetime,
            default=tables.settings.default_lifetime_s,
            maximum=tables.settings.max_lifetime_s,
        )
        allocation = Allocation(
            tables.number(), flow=flow, account=session.account, user=pending.user,
            transaction=pending.request.transaction, now=now,
        )  # fmt: skip
        tables.flows[flow] = allocation
        for family, relayed in pending.got.items():
            relayed.allocation, relayed.until = allocation, now + lifetime
            allocation.relayed[family] = relayed
            tables.relays[relayed.relay] = relayed
            tables.schedule(relayed)
        attributes = self._describe(pending, lifetime)
        answer = self._answers.accept(pending.request, flow, session, attributes)
        allocation.response = answer.data
        return [answer, AllocationOpened(allocation.number, session.account.user_id)]

    def _describe(self, pending: Pending, lifetime: int) -> list[Attribute]:
        transaction = pending.request.transaction
        attributes: list[Attribute] = [
            (a.XOR_RELAYED_ADDRESS, encode_xor(pending.got[family].address, transaction))
            for family in sorted(pending.got)
        ]
        for family, code in pending.failed.items():
            attributes.append((a.ADDRESS_ERROR_CODE, bytes((family, 0)) + failure(code)[2:]))
        attributes.append((a.LIFETIME, lifetime.to_bytes(4, "big")))
        if pending.reserved is not None:
            token = self._reserve(pending.reserved, pending.session)
            attributes.append((a.RESERVATION_TOKEN, token))
        attributes.append((a.XOR_MAPPED_ADDRESS, encode_xor(pending.flow[1], transaction)))
        return attributes

    def _reserve(self, relayed: Relayed, session: Session) -> bytes:
        token = self._random_bytes(8)
        relayed.holder = self._tables.users.add(session.account.user_id)
        self._tables.relays[relayed.relay] = relayed
        self._tables.reserved[token] = relayed
        self._tables.schedule(relayed)
        return token
