"""Everything the server remembers, and what leaves with it when it ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from random import Random

from media.turn.allocations import Allocation, Channel, Relayed
from media.turn.exchange import AllocationClosed, CloseRelay, Flow, Output
from media.turn.ports import Ports
from media.turn.quotas import Users
from media.turn.settings import TurnSettings
from media.wire.addresses import IPV4, IPV6, canonical

SPARE_DEADLINES = 50
"""That may wait in the heap beside those that count, and as many again as count."""


class Tables:
    """Bounded by the settings: allocations, and of each its permissions and channels; relay sockets
    and reservations by the port range.
    """

    def __init__(self, settings: TurnSettings, random: Random) -> None:
        self.settings = settings
        self.flows: dict[Flow, Allocation] = {}
        self.relays: dict[int, Relayed] = {}
        self.reserved: dict[bytes, Relayed] = {}
        self.users = Users(user_bps=settings.user_bps, total_bps=settings.total_bps)
        self.hosts = {_family(r.public): canonical(r.public) for r in settings.relays}
        self.binds = {_family(r.public): r.bind for r in settings.relays}
        self.ports = {
            family: Ports(settings.first_port, settings.last_port, random) for family in self.hosts
        }
        self.drops: Counter[str] = Counter()
        """Why packets were dropped and requests refused."""
        self._deadlines: list[tuple[float, int]] = []
        self._scheduled: dict[int, float] = {}
        self._numbers = 0

    def number(self) -> int:
        self._numbers += 1
        return self._numbers

    def is_relay_port(self, family: int, port: int) -> bool:
        ports = self.ports.get(family)
        return ports is not None and port in ports

    def watch(self, channel: Channel) -> None:
        """One to a relayed address of ours ends with it: the port is anybody's then."""
        for relayed in self.relays.values():
            if relayed.port == channel.peer[1] and relayed.address == channel.peer:
                relayed.heard_by.add(channel)

    def drop(self, reason: str) -> list[Output]:
        self.drops[reason] += 1
        return []

    def schedule(self, relayed: Relayed) -> None:
        """One deadline waits for each relay socket: it may be early, never late."""
        planned = self._scheduled.get(relayed.relay)
        if planned is None or relayed.until < planned:
            self._scheduled[relayed.relay] = relayed.until
            heappush(self._deadlines, (relayed.until, relayed.relay))
            if len(self._deadlines) > SPARE_DEADLINES + 2 * len(self._scheduled):
                # Those of relays that ended early: a user who allocates and deletes in a loop would
                # leave thousands a second.
                self._deadlines = [(at, relay) for relay, at in self._scheduled.items()]
                heapify(self._deadlines)

    def next_deadline(self) -> float | None:
        return self._deadlines[0][0] if self._deadlines else None

    def expire(self, now: float) -> list[Output]:
        outputs: list[Output] = []
        while self._deadlines and self._deadlines[0][0] <= now:
            at, relay = heappop(self._deadlines)
            if self._scheduled.get(relay) != at:
                continue
            del self._scheduled[relay]
            relayed = self.relays[relay]
            if now < relayed.until:
                self.schedule(relayed)
            else:
                outputs += self.end_relay(relayed, "expired", now)
        return outputs

    def end_relay(self, relayed: Relayed, reason: str, now: float) -> list[Output]:
        """The allocation ends with its last relayed address."""
        del self.relays[relayed.relay]
        self._scheduled.pop(relayed.relay, None)
        self.ports[relayed.family].release(relayed.port)
        for channel in relayed.heard_by:
            channel.until = now
        outputs: list[Output] = [CloseRelay(relayed.relay)]
        allocation = relayed.allocation
        if allocation is None:
            self.reserved = {t: one for t, one in self.reserved.items() if one is not relayed}
            self.free_holder(relayed)
            return outputs
        del allocation.relayed[relayed.family]
        for channel in [c for c in allocation.by_head.values() if c.relay == relayed.relay]:
            del allocation.by_head[channel.head], allocation.by_peer[channel.wire]
        if allocation.relayed:
            return outputs
        del self.flows[allocation.flow]
        self.users.release(allocation.user)
        outputs.append(
            AllocationClosed(
                allocation.number, allocation.account.user_id, reason,
                allocation.relayed_bytes, now - allocation.born,
            )
        )  # fmt: skip
        return outputs

    def free_holder(self, reserved: Relayed) -> None:
        if reserved.holder is not None:
            self.users.release(reserved.holder)
            reserved.holder = None

    def end(self, allocation: Allocation, reason: str, now: float) -> list[Output]:
        outputs: list[Output] = []
        for relayed in tuple(allocation.relayed.values()):
            outputs += self.end_relay(relayed, reason, now)
        return outputs

    def end_where(
        self, wanted: Callable[[Allocation], bool], reason: str, now: float
    ) -> list[Output]:
        outputs: list[Output] = []
        for allocation in [one for one in self.flows.values() if wanted(one)]:
            outputs += self.end(allocation, reason, now)
        return outputs


def _family(host: str) -> int:
    return IPV6 if ":" in host else IPV4
