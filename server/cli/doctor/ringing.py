"""Two people call each other in a server of the doctor's own: start, ring, accept, signals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import TypeVar

from hubbub import Call, CallRinging, CallSignal, Client

from server.cli.doctor.findings import Finding, ok, stopwatch, wrong
from server.cli.doctor.trips import FAULTS, own_server, person
from server.compose.media import is_installed
from server.kernel.config import Config, Media

RING_S = 12.0
NAME = "ringing"
MEDIA = Media(hosts=("127.0.0.1",), port=0, tcp_port=0)

Heard = TypeVar("Heard")


def rings(config: Config) -> Iterator[Finding]:
    try:
        yield asyncio.run(asyncio.wait_for(_ring(config), RING_S))
    except FAULTS as error:
        advice = "Calls cannot be signalled here: run with HUBBUB_LOGGING__LEVEL=debug"
        yield wrong(NAME, repr(error), advice)


async def _ring(config: Config) -> Finding:
    async with (
        own_server(config, MEDIA) as server,
        person(server, "caller", "websocket") as caller,
        person(server, "callee", "websocket") as callee,
    ):
        room = await caller.direct(callee.me.id)
        if server.calling.media is not None:
            await server.calling.media.known()
        with stopwatch() as watch:
            call = await _call(caller, callee, room.id)
        urls = [url for server in call.ice_servers for url in server.urls]
    if is_installed() and not any(url.startswith("turn:") for url in urls):
        return wrong(NAME, "no TURN server is told", "Look at the findings of media below.")
    return ok(NAME, f"start, ring, accept, a signal each way, hang up: {watch.ms:.0f} ms")


async def _call(caller: Client, callee: Client, room_id: str) -> Call:
    with callee.events() as feed:
        call = await caller.calls.start(room_id)
        await _first(feed, CallRinging)
    theirs = await callee.calls.accept(call.id)
    await theirs.signal(theirs.others[0].device_id, {"type": "offer", "sdp": "say aah"})
    offer = await _first(call.news(), CallSignal)
    await call.signal(offer.from_device_id, {"type": "answer", "sdp": "aah"})
    await _first(theirs.news(), CallSignal)
    await call.leave()
    return call


async def _first(news: AsyncIterator[object], kind: type[Heard]) -> Heard:
    async for item in news:
        if isinstance(item, kind):
            return item
    raise TimeoutError(f"the line ended before {kind.__name__} came")
