"""Real calls through a media process with the configured [media]: ICE, DTLS, SRTP, and back."""

from __future__ import annotations

import asyncio
import datetime
import secrets
import time
from collections.abc import AsyncIterator
from time import perf_counter

from media.connections import PlaneReady
from media.peer.connection import Echo, Identity, PeerConnection, ask_address
from media.peer.relay import Relay, Ticket
from media.peer.steps import Failed
from media.planes.settings import PlaneSettings
from media.turn.credentials import ticket_password
from media.wire.addresses import IPV4, IPV6
from server.cli.doctor import advice, certificate, ports, running
from server.cli.doctor.findings import Finding, ok, stopwatch, warn, wrong
from server.cli.doctor.legs import Leg, Unknown, direct, relayed
from server.cli.doctor.plane import EchoPlane, Refused, echo_plane
from server.compose.media import own_urls, plane_settings
from server.kernel.config import Config
from server.kernel.errors import AppError
from server.kernel.logs import Secret

PACKETS = 50
EVERY_S = 0.01
LEG_S = 9.0
TICKET_S = 600
LOST_MANY = 2
"""Of `PACKETS`: on one machine none should be."""
GREETING = "say aah"


async def placed(config: Config, *, runs: bool) -> AsyncIterator[Finding]:
    """`runs`: Hubbub itself does, on the configured HTTP port."""
    secret = Secret(secrets.token_hex(32))
    try:
        wanted = plane_settings(config, secret, config.server.port)
    except AppError as error:
        yield wrong("media", error.text, "Look at [media].")
        return
    choice = ports.choose(wanted, runs=runs)
    for finding in choice.findings:
        yield finding
    if choice.running:
        yield await running.answers(wanted, choice.running)
        for finding in await _allocations(config, wanted):
            yield finding
    if choice.settings is None:
        return
    async with echo_plane(choice.settings, config.logging.level) as plane:
        async for finding in _Examination(config, choice.settings, secret, plane).findings():
            yield finding


async def _allocations(config: Config, wanted: PlaneSettings) -> list[Finding]:
    """At the Hubbub that runs, by a ticket as it gives them."""
    ready = running.as_configured(wanted)
    try:
        ticket = _ticket(await running.secret_of(config))
    except AppError as error:
        advice = "Stop the server to have its relay examined, or run as its user."
        return [warn("running relay", error.text, advice)]
    legs = [leg async for leg in relayed(own_urls(config, ready), ready, ours=False)]
    return [await _allocated(leg, ticket, config, ready) for leg in legs if isinstance(leg, Leg)]


async def _allocated(leg: Leg, ticket: Ticket, config: Config, ready: PlaneReady) -> Finding:
    """All that is asked of a TURN server whose relay need not reach us."""
    try:
        with stopwatch() as watch:
            relay = await leg.open_relay(ticket)
            try:
                await relay.allocate()
            finally:
                relay.close()
    except Failed as failed:
        return advice.failure(leg, failed, config.media, ready)
    return ok(leg.name, f"{watch.ms:.0f} ms")


def _ticket(secret: Secret) -> Ticket:
    username = f"{int(time.time()) + TICKET_S}:doctor"
    return Ticket(username, ticket_password(secret, username))


class _Examination:
    """Of one media process."""

    def __init__(
        self, config: Config, settings: PlaneSettings, secret: Secret, plane: EchoPlane
    ) -> None:
        self._config = config
        self._settings = settings
        self._secret = secret
        self._plane = plane
        self._identity = Identity.new()
        self._ready = PlaneReady("", ())

    async def findings(self) -> AsyncIterator[Finding]:
        began = perf_counter()
        try:
            self._ready = await self._plane.ready()
        except Refused as refused:
            yield wrong("media process", str(refused), "Look at [media].")
            if self._config.media.tls_certificate:
                yield self._certificate(self._config.media.public_name or self._settings.hosts[0])
            return
        ready = self._ready
        where = f"UDP {ready.port}" + (f" and TCP {ready.tcp_port}" if ready.tcp_port else "")
        yield ok("media process", f"opens {where} in {(perf_counter() - began) * 1000:.0f} ms")
        if self._settings.stun_server:
            yield await self._mapped()
        yield self._offered()
        if self._config.media.tls_certificate:
            yield self._certificate(self._tls_name())
        legs = [leg async for leg in self._legs()]
        for finding in await asyncio.gather(*(self._walked(leg) for leg in legs)):
            yield finding

    async def _mapped(self) -> Finding:
        name, server = "public address", self._settings.stun_server
        found = await self._plane.mapped()
        if found is None:
            advice = "Is it host:port, is UDP let out? Or set media.public_hosts instead."
            return wrong(name, f"{server} does not answer", advice)
        self._ready = found
        seen = next((one.split()[4] for one in found.candidates if " srflx " in one), None)
        if seen is None:
            return ok(name, f"{server} sees us by an address that is offered anyway")
        if self._settings.public_hosts:
            advice = "One of the two is wrong, or this machine has two ways out."
            return warn(name, f"{server} sees {seen}, which is not in media.public_hosts", advice)
        return ok(name, f"{server} sees {seen}")

    def _offered(self) -> Finding:
        hosts = list(dict.fromkeys(line.split()[4] for line in self._ready.candidates))
        seen = ", ".join(hosts)
        if not self._ready.only_private:
            return ok("addresses", f"{seen} are offered to clients")
        if self._config.is_local:
            return ok("addresses", f"{seen}: calls between programs of this machine only")
        advice = (
            "Nobody outside this network reaches the media port: set media.public_hosts to the "
            "address that the world sees, or media.stun_server to find it."
        )
        return warn("addresses", f"only private ones are offered: {seen}", advice)

    def _certificate(self, name: str) -> Finding:
        return certificate.look_at(self._config.media, name, datetime.datetime.now(datetime.UTC))

    def _tls_name(self) -> str:
        """What clients are told in `turns:`."""
        urls = own_urls(self._config, self._ready)
        url = next((url for url in urls if url.startswith("turns:")), "")
        return url.partition(":")[2].rpartition(":")[0].strip("[]")

    async def _legs(self) -> AsyncIterator[Leg | Unknown]:
        for leg in direct(self._ready):
            yield leg
        if self._settings.turn is not None:
            async for found in relayed(own_urls(self._config, self._ready), self._ready):
                yield found
        async for found in relayed(self._config.media.ice_urls, self._ready, ours=False):
            yield found

    async def _walked(self, leg: Leg | Unknown) -> Finding:
        if isinstance(leg, Unknown):
            told = "Clients are told this name: it needs an address in the DNS."
            return wrong(f"relay {leg.name}", "no address is known for it", told)
        began = perf_counter()
        try:
            async with asyncio.timeout(LEG_S):
                if not leg.is_ours:
                    ticket = _ticket(Secret(self._config.media.ice_secret))
                    return await _allocated(leg, ticket, self._config, self._ready)
                echo, setup_ms = await self._call(leg)
        except TimeoutError:
            took = perf_counter() - began
            return wrong(leg.name, f"not done after {took:.0f} s", "Is this machine very busy?")
        except Failed as failed:
            return advice.failure(leg, failed, self._config.media, self._ready)
        seen = (
            f"set up in {setup_ms:.0f} ms, round trip {echo.rtt_ms:.1f} ms, "
            f"{echo.lost} of {echo.sent} packets lost"
        )
        if echo.lost > LOST_MANY:
            return warn(leg.name, seen, "On one machine none should be: is it very busy?")
        return ok(leg.name, seen)

    async def _call(self, leg: Leg) -> tuple[Echo, float]:
        """Raises Failed."""
        began = perf_counter()
        peer = PeerConnection(self._identity)
        local = self._plane.open(peer.end())
        carrier = await leg.open_relay(_ticket(self._secret)) if leg.server else await leg.open()
        try:
            if isinstance(carrier, Relay):
                await self._through(carrier)
            elif leg.transport == "udp" and self._settings.turn is not None:
                await ask_address(carrier)
            await peer.check(carrier, local)
            await peer.shake(self._ready.fingerprint)
            setup_ms = (perf_counter() - began) * 1000
            echo = await peer.echo(PACKETS, every_s=EVERY_S)
            await peer.say(GREETING)
            return echo, setup_ms
        finally:
            peer.close()
            carrier.close()

    async def _through(self, relay: Relay) -> None:
        """To the media port, by an address of the family that is relayed."""
        v4 = [host for host in self._ready.hosts if ":" not in host]
        await relay.allocate(IPV4 if v4 else IPV6)
        await relay.reach(((v4 or list(self._ready.hosts))[0], self._ready.port))
