"""A running engine, and raw connections to it. Its time limits are those of the product: whoever
tests one asks for a short one.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp

from server.hub.engineio.api import Options
from server.hub.engineio.engine import Engine
from server.hub.transport.acceptor import Acceptor, HeadLimits
from server.hub.transport.handover import Handover
from tests.support.protocol_modes import EchoHandlers, EchoSink, serve_engine

WAIT_S = 5.0
HEADS = HeadLimits(head_bytes=4096)
BRIEF_HEADS = HeadLimits(head_bytes=4096, request_head_s=0.3)
OPTIONS = Options(path="/engine.io/", allowed_origins=("*",), close_timeout_s=0.3)


class EngineHouse:
    """The engine on a port, an HTTP client for polling, raw sockets for the rest."""

    def __init__(
        self, engine: Engine, port: int, http: aiohttp.ClientSession, acceptor: Acceptor
    ) -> None:
        self.engine = engine
        self.acceptor = acceptor
        self.port = port
        self.http = http
        self.url = f"http://127.0.0.1:{port}/engine.io/"

    async def get(self, **query: str) -> tuple[int, str]:
        return await self.call("GET", **query)

    async def post(self, body: str | bytes, **query: str) -> tuple[int, str]:
        return await self.call("POST", body, **query)

    async def call(self, method: str, body: str | bytes = b"", **query: str) -> tuple[int, str]:
        limit = aiohttp.ClientTimeout(total=WAIT_S)
        async with self.http.request(
            method, self.url, params=query, data=body or None, timeout=limit
        ) as answer:
            return answer.status, await answer.text()

    async def polls(self) -> dict[str, str]:
        """Opens a polling session; returns the query for its further requests."""
        query = {"EIO": "4", "transport": "polling"}
        _, text = await self.get(**query)
        return {**query, "sid": json.loads(text[1:])["sid"]}

    async def websocket(self, query: str = "EIO=4&transport=websocket") -> RawSocket:
        return await RawSocket.upgraded(self.port, f"/engine.io/?{query}")


class RawSocket:
    """A TCP connection that writes any bytes and reads WebSocket frames."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connected(cls, port: int) -> RawSocket:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    @classmethod
    async def upgraded(cls, port: int, target: str = "/") -> RawSocket:
        raw = await cls.connected(port)
        raw.write(upgrade_request(target))
        await raw.head()
        return raw

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> str:
        async with asyncio.timeout(WAIT_S):
            return (await self.reader.readuntil(b"\r\n\r\n")).decode()

    async def frame(self) -> tuple[int, bytes]:
        """(opcode with FIN bit, payload) of the next frame."""
        async with asyncio.timeout(WAIT_S):
            first, length = await self.reader.readexactly(2)
            if length > 125:
                length = int.from_bytes(
                    await self.reader.readexactly(2 if length == 126 else 8), "big"
                )
            return first, await self.reader.readexactly(length)

    async def rest(self) -> bytes:
        """Everything until the server ends its side."""
        async with asyncio.timeout(WAIT_S):
            return await self.reader.read(-1)

    def close(self) -> None:
        self.writer.close()


def upgrade_request(target: str, **changed: str | None) -> bytes:
    """A correct handshake; `changed` replaces headers ("_" for "-") or drops them (None)."""
    headers: dict[str, str | None] = {
        "host": "localhost",
        "upgrade": "websocket",
        "connection": "keep-alive, Upgrade",
        "sec_websocket_version": "13",
        "sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    headers.update(changed)
    lines = [f"{k.replace('_', '-')}: {v}" for k, v in headers.items() if v is not None]
    return (f"GET {target} HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode()


def client_frame(
    payload: bytes | str, opcode: int = 1, *, fin: bool = True, rsv: int = 0, masked: bool = True
) -> bytes:
    """A frame as a client sends it."""
    data = payload.encode() if isinstance(payload, str) else payload
    first = bytes([fin << 7 | rsv << 4 | opcode])
    mark = masked << 7
    size = len(data)
    if size < 126:
        head = first + bytes([mark | size])
    elif size < 65_536:
        head = first + bytes([mark | 126]) + size.to_bytes(2, "big")
    else:
        head = first + bytes([mark | 127]) + size.to_bytes(8, "big")
    if not masked:
        return head + data
    key = zlib.crc32(data).to_bytes(4, "big")  # varied, and the same in each run
    pad = (key * (size // 4 + 1))[:size]
    mixed = int.from_bytes(data, "big") ^ int.from_bytes(pad, "big")
    return head + key + mixed.to_bytes(size, "big")


@asynccontextmanager
async def engine_house(
    *,
    handlers: EchoHandlers | None = None,
    limits: HeadLimits = HEADS,
    request_body_s: float = 30.0,
    handover: Handover | None = None,
    **changed: object,
) -> AsyncIterator[EngineHouse]:
    engine = Engine(handlers or EchoHandlers(), replace(OPTIONS, **changed))  # type: ignore[arg-type]
    acceptor = Acceptor(engine, None, limits=limits, handover=handover)
    port, stop = await serve_engine(
        engine,
        "127.0.0.1", 0, limits=limits, request_body_s=request_body_s, acceptor=acceptor,
    )  # fmt: skip
    async with aiohttp.ClientSession() as http:
        try:
            yield EngineHouse(engine, port, http, acceptor)
        finally:
            await stop()


@asynccontextmanager
async def echo_house() -> AsyncIterator[int]:
    """Raw WebSocket echo; yields its port."""
    acceptor = Acceptor(
        Engine(EchoHandlers(), Options(close_timeout_s=0.5)), None, limits=HEADS, echo=EchoSink
    )
    port = await acceptor.listen("127.0.0.1", 0)
    try:
        yield port
    finally:
        await acceptor.close()
