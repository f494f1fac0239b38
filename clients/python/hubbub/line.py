"""One connection of the namespace `/`: handshake, events in, requests with acknowledgements out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import aiohttp
import msgspec

from hubbub import packets
from hubbub.errors import LineBroken, error_from
from hubbub.wire import CONNECT_S, PollingWire, WebSocketWire, Wire

T = TypeVar("T")


class _Answer(msgspec.Struct):
    ok: bool
    data: msgspec.Raw = msgspec.Raw(b"null")
    error: dict[str, Any] = {}


_read_answer = msgspec.json.Decoder(_Answer).decode


class Line:
    """Lives from `open` to the first break; then every open request fails with LineBroken."""

    def __init__(self, wire: Wire, silence_s: float) -> None:
        self._wire = wire
        self._silence_s = silence_s
        self._last_ack = 0
        self._open: dict[int, asyncio.Future[bytes]] = {}
        self._early: list[str] = []
        self._broken = False

    @classmethod
    async def open(
        cls, http: aiohttp.ClientSession, url: str, token: str, *, transport: str = "websocket"
    ) -> Line:
        """Raises LineBroken, or the HubbubError of a CONNECT_ERROR."""
        wire: Wire = PollingWire(http, url)
        if transport == "websocket":
            wire = await asyncio.wait_for(WebSocketWire.open(http, url), CONNECT_S)
        try:
            hello, *early = await wire.receive(CONNECT_S)
            packet = packets.read(hello)
            if not isinstance(packet, packets.Open):
                raise LineBroken("no handshake")
            line = cls(wire, packet.silence_s)
            await wire.send([packets.connect(token)])
            await line._accepted(early)
        except BaseException:
            await wire.close()
            raise
        return line

    async def request(self, name: str, payload: object, answer: type[T], timeout_s: float) -> T:
        """Emit and wait for the acknowledgement. Raises the refusal, or LineBroken."""
        if self._broken:
            raise LineBroken("not connected")
        self._last_ack += 1
        number = self._last_ack
        future = asyncio.get_running_loop().create_future()
        self._open[number] = future
        try:
            await self._wire.send([packets.event(name, payload, number)])
            raw = await asyncio.wait_for(future, timeout_s)
        except TimeoutError:
            raise LineBroken(f"{name}: no answer") from None
        finally:
            self._open.pop(number, None)
        reply = _read_answer(raw)
        if not reply.ok:
            raise error_from(reply.error)
        return msgspec.json.decode(reply.data, type=answer)

    async def run(self, on_event: Callable[[str, bytes], None]) -> None:
        """Read until the line breaks, which it says by LineBroken."""
        try:
            for text in self._early:
                await self._take(text, on_event)
            while True:
                for text in await self._wire.receive(self._silence_s):
                    await self._take(text, on_event)
        finally:
            self._fail()

    async def close(self) -> None:
        self._fail()
        await self._wire.close()

    async def _accepted(self, early: list[str]) -> None:
        waiting = list(early)
        while True:
            for place, text in enumerate(waiting):
                packet = packets.read(text)
                if isinstance(packet, packets.Accepted):
                    self._early = waiting[place + 1 :]
                    return
                if isinstance(packet, packets.Refused):
                    refusal = {"code": packet.code, "retry_after_s": packet.retry_after_s}
                    raise error_from(refusal)
                if isinstance(packet, packets.Ping):
                    await self._wire.send([packets.pong(packet.data)])
            waiting = list(await self._wire.receive(CONNECT_S))

    async def _take(self, text: str, on_event: Callable[[str, bytes], None]) -> None:
        try:
            packet = packets.read(text)
        except (ValueError, KeyError, IndexError) as error:
            raise LineBroken("the server spoke nonsense") from error
        match packet:
            case packets.Received(name, payload):
                on_event(name, payload)
            case packets.Ack(id, payload):
                future = self._open.get(id)
                if future is not None and not future.done():
                    future.set_result(payload)
            case packets.Ping(data):
                await self._wire.send([packets.pong(data)])
            case packets.Close():
                raise LineBroken("the server closed")
            case _:
                pass

    def _fail(self) -> None:
        self._broken = True
        for future in self._open.values():
            if not future.done():
                future.set_exception(LineBroken("the line broke before the answer"))
