"""Round trips through a server of the doctor's own, on a free port and an empty folder: the real
one is left alone.
"""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Literal

import msgspec
from hubbub import Client
from hubbub.errors import HubbubError

from server.cli.doctor.findings import Finding, ok, stopwatch, wrong
from server.compose import Server, running_server
from server.kernel.config import Bus, Cluster, Config, Media, Store
from server.kernel.errors import AppError

ROUND_TRIP_S = 15.0
FAULTS = (HubbubError, AppError, OSError, TimeoutError)
ADVICE = "This installation cannot carry messages: run with HUBBUB_LOGGING__LEVEL=debug"

Transport = Literal["websocket", "polling"]


@asynccontextmanager
async def own_server(config: Config, media: Media) -> AsyncIterator[Server]:
    """The configured one, but alone in the world."""
    with tempfile.TemporaryDirectory() as folder:
        place = msgspec.structs.replace(
            config.server, host="127.0.0.1", port=0, data=folder, public_url=""
        )
        alone = msgspec.structs.replace(
            config, server=place, store=Store(), cluster=Cluster(), bus=Bus(), media=media
        )
        async with running_server(alone) as server:
            yield server


@asynccontextmanager
async def person(server: Server, name: str, transport: Transport) -> AsyncIterator[Client]:
    """An account of that name, logged in and connected."""
    password = secrets.token_urlsafe(16)
    await server.accounts.operator.create_user(name, password)
    async with Client(server.url, transport=transport) as client:
        await client.log_in(name, password)
        await client.connect()
        yield client


def round_trips(config: Config) -> Iterator[Finding]:
    transports: tuple[Transport, ...] = ("websocket", "polling")
    for transport in transports:
        name = f"{transport} round trip"
        try:
            with stopwatch() as watch:
                asyncio.run(asyncio.wait_for(_round_trip(config, transport), ROUND_TRIP_S))
        except FAULTS as error:
            yield wrong(name, repr(error), ADVICE)
        else:
            yield ok(name, f"log in, send, hear: {watch.ms:.0f} ms with start")


async def _round_trip(config: Config, transport: Transport) -> None:
    async with (
        own_server(config, Media(enabled=False)) as server,
        person(server, "doctor", transport) as client,
    ):
        room = await client.create_room(name="Examination")
        sent = await room.send("say aah")
        assert (await room.history()).head >= sent.seq
