"""One connection's paths: which are proved, which one is used, when consent ends."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from media.ice.checks import Credentials, nominates, priority_of, probe
from media.ice.outputs import Lost, Output, Path, RoundTrip, Selected, Send
from media.wire.stun import Message

CONSENT_S = 30.0
"""RFC 7675, section 5.1."""
PROBE_S = 5.0
"""Between checks of our own on the path in use: a round trip for the quality record."""
PROBE_AGAIN_S = 0.1
"""Between checks of our own to an address from which authentic media came."""
SILENT_S = 1.0
"""The path in use is taken for dead when a check arrives elsewhere: Firefox does not say
USE-CANDIDATE again after its address changed.
"""
MEDIA_SILENT_S = 0.1
"""The same when authentic media arrives elsewhere: five packets of 20 ms. Less would let a late
packet from the old address move us back.
"""
PATHS = 16
"""A phone with Wi-Fi, mobile, a VPN and IPv6 has about 8; past this the oldest is forgotten."""


@dataclass(slots=True, eq=False)
class Route:
    """One path of a session."""

    session: Session
    path: Path
    heard_at: float
    priority: int = 0
    proved: bool = False
    """A check came from there, or one of ours was answered."""
    verified: bool = False
    """A check of ours was answered: the request of a peer may carry another's address."""
    nominated: bool = False
    """The last check said USE-CANDIDATE."""


@dataclass(slots=True)
class _Probe:
    route: Route
    sent_at: float


@dataclass(slots=True, eq=False)
class Session:
    """The rules of one connection. The agent has checked each message's integrity."""

    id: str
    local: Credentials
    remote: Credentials | None
    opened_at: float
    older: Credentials | None = None
    """Ours from before a restart: they count until a check with the new ones arrives."""
    routes: dict[Path, Route] = field(default_factory=dict)
    selected: Route | None = None
    consent_until: float | None = None
    probes: dict[bytes, _Probe] = field(default_factory=dict)
    forgotten: list[Path] = field(default_factory=list)
    """Paths that made room for others, for the agent's table."""
    scheduled: bool = False
    """The agent has a deadline of it in its heap."""
    _settled: bool = False
    """The peer has nominated once, so that it knows which path it wants."""
    _next_probe: float = 0.0
    _tie_breaker: bytes = field(default_factory=lambda: secrets.token_bytes(8))

    def checked(self, message: Message, path: Path, now: float, *, new: bool) -> list[Output]:
        """An authentic request arrived. `new`: the first with the credentials of a restart."""
        route = self.routes.get(path) or self._add(path, now)
        before = route.nominated
        first = not route.proved
        route.nominated = nominates(message)
        route.priority = priority_of(message)
        route.proved = True
        why = self._why_choose(route, now, first=first, newly=route.nominated and not before)
        route.heard_at = now
        if self.consent_until is None or route.verified or self.remote is None:
            self.consent_until = now + CONSENT_S
        self._settled = self._settled or route.nominated
        if why is None:
            return []
        return self._select(route, "restarted" if new and self.selected is not None else why)

    def _why_choose(self, route: Route, now: float, *, first: bool, newly: bool) -> str | None:
        """Whether a check on `route` moves the connection there.

        Chromium names the path it wants in each check to a lite peer, and only that one. Old
        agents name all (aggressive nomination): among those the priority decides, or both ends
        would swap paths for ever. Firefox names it once.
        """
        used = self.selected
        if used is None:
            return "first"
        if used is route:
            return None
        if route.nominated and (
            newly or not used.nominated or route.priority > used.priority or not self._settled
        ):
            return "nominated"
        if first and self._settled and now - used.heard_at >= SILENT_S:
            return "roamed"
        return None

    def heard_media(self, path: Path, now: float) -> list[Output]:
        """An authentic packet (SRTP) arrived on a path that is not the one in use.

        The peer's address may have changed without the peer's knowing (a NAT forgot it): waiting
        for its next check would take seconds. A packet alone proves no address, it may be a copy;
        an answer to our own check does.
        """
        route = self.routes.get(path) or self._add(path, now)
        route.heard_at = now
        used = self.selected
        if used is route or (used is not None and now - used.heard_at < MEDIA_SILENT_S):
            return []
        if route.proved:
            return self._select(route, "roamed")
        return self._probe(route, now)

    def answered(self, transaction: bytes, path: Path, now: float) -> list[Output]:
        """One of our own checks came back, its integrity checked."""
        sent = self.probes.get(transaction)
        if sent is None or sent.route.path != path or self.routes.get(path) is not sent.route:
            return []
        del self.probes[transaction]
        route = sent.route
        outputs: list[Output] = [RoundTrip(self.id, now - sent.sent_at)]
        used = self.selected
        route.verified = True
        if not route.proved:
            route.proved = True
            if used is None or now - used.heard_at >= MEDIA_SILENT_S:
                outputs += self._select(route, "roamed")
        if route is self.selected:
            self.consent_until = now + CONSENT_S
        route.heard_at = now
        return outputs

    def gone(self, path: Path) -> list[Output]:
        """The path exists no longer: its TCP connection was closed, or another session has it."""
        route = self.routes.pop(path, None)
        if route is None or route is not self.selected:
            return []
        self.selected = None
        proved = [other for other in self.routes.values() if other.proved]
        if not proved:
            return [Lost(self.id, "gone")]
        return self._select(max(proved, key=lambda other: other.heard_at), "fallback")

    def tick(self, now: float) -> list[Output]:
        if self.selected is None:
            return []
        if self.consent_until is None or now >= self.consent_until:
            self.selected = self.consent_until = None
            for route in self.routes.values():
                route.proved = route.nominated = route.verified = False
            return [Lost(self.id, "consent")]
        if now < self._next_probe:
            return []
        self._next_probe = now + PROBE_S
        return self._probe(self.selected, now)

    def next_deadline(self) -> float | None:
        if self.selected is None or self.consent_until is None:
            return None
        return min(self.consent_until, self._next_probe)

    def restart(self, local: Credentials, remote: Credentials | None) -> None:
        """New credentials on both sides; the path in use stays until the peer chooses anew."""
        self.older = self.local
        self.local = local
        self.remote = remote
        self.probes.clear()
        self._settled = False
        for route in self.routes.values():
            route.nominated = False

    def _select(self, route: Route, why: str) -> list[Output]:
        self.selected = route
        return [Selected(self.id, route.path, why)]

    def _add(self, path: Path, now: float) -> Route:
        if len(self.routes) >= PATHS:
            spare = [other for other in self.routes.values() if other is not self.selected]
            oldest = min(spare, key=lambda other: other.heard_at).path
            del self.routes[oldest]
            self.forgotten.append(oldest)
        route = self.routes[path] = Route(self, path, now)
        return route

    def _probe(self, route: Route, now: float) -> list[Output]:
        """At most one is on its way to a path, four in all: what is older is given up."""
        if self.remote is None:
            return []
        for transaction, sent in tuple(self.probes.items()):
            if sent.route is route and now - sent.sent_at < PROBE_AGAIN_S:
                return []
            if len(self.probes) >= 4 or sent.route is route:
                del self.probes[transaction]
        transaction = secrets.token_bytes(12)
        self.probes[transaction] = _Probe(route, now)
        data = probe(
            transaction, ours=self.local.ufrag, peer=self.remote, tie_breaker=self._tie_breaker
        )
        return [Send(route.path, data)]
