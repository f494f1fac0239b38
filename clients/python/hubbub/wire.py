"""Moves Engine.IO packets: over one WebSocket, or by long-polling where none can be had."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import aiohttp

from hubbub import packets
from hubbub.errors import LineBroken

CONNECT_S = 15.0
LARGEST_BYTES = 4 * 1024 * 1024
"""The largest frame taken; the server's largest is a sync answer of 256 KiB and a packet."""


class Wire(Protocol):
    """`receive` raises LineBroken at the end of the line."""

    async def receive(self, timeout_s: float) -> Sequence[str]: ...

    async def send(self, packets: Sequence[str]) -> None: ...

    async def close(self) -> None: ...


class WebSocketWire:
    """Engine.IO over one WebSocket, from the first packet on."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    @classmethod
    async def open(cls, http: aiohttp.ClientSession, url: str) -> WebSocketWire:
        address = f"{url.rstrip('/')}/socket.io/?EIO=4&transport=websocket"
        try:
            return cls(
                await http.ws_connect(
                    address, max_msg_size=LARGEST_BYTES, autoping=True, autoclose=True
                )
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise LineBroken(f"connect: {type(error).__name__}") from error

    async def receive(self, timeout_s: float) -> Sequence[str]:
        try:
            message = await self._socket.receive(timeout_s)
        except TimeoutError:
            raise LineBroken("the server fell silent") from None
        if message.type is aiohttp.WSMsgType.TEXT:
            return (message.data,)
        if message.type is aiohttp.WSMsgType.BINARY:
            return ()
        raise LineBroken(f"closed {self._socket.close_code}")

    async def send(self, packets: Sequence[str]) -> None:
        try:
            for packet in packets:
                await self._socket.send_str(packet)
        except (ConnectionError, aiohttp.ClientError) as error:
            raise LineBroken("closed while sending") from error

    async def close(self) -> None:
        await self._socket.close()


class PollingWire:
    """Engine.IO long-polling: one GET waits at any time, each POST carries what is to be said."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._address = f"{url.rstrip('/')}/socket.io/"
        self._query = {"EIO": "4", "transport": "polling"}

    async def receive(self, timeout_s: float) -> Sequence[str]:
        text = await self._request("GET", None, timeout_s)
        parts = text.split(packets.SEPARATOR)
        if "sid" not in self._query:
            hello = packets.read(parts[0])
            if not isinstance(hello, packets.Open):
                raise LineBroken("no handshake")
            self._query["sid"] = hello.sid
        return parts

    async def send(self, packets_: Sequence[str]) -> None:
        await self._request("POST", packets.SEPARATOR.join(packets_), CONNECT_S)

    async def close(self) -> None:
        try:
            await self._request("POST", "1", 2.0)
        except LineBroken:
            return

    async def _request(self, method: str, body: str | None, timeout_s: float) -> str:
        headers = {"Content-Type": "text/plain; charset=UTF-8"}
        try:
            async with self._http.request(
                method, self._address, params=self._query, data=body, headers=headers,
                timeout=aiohttp.ClientTimeout(total=timeout_s),
            ) as answer:  # fmt: skip
                text = await answer.text()
                if answer.status != 200:
                    raise LineBroken(f"polling answered {answer.status}")
                return text
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise LineBroken(f"polling: {type(error).__name__}") from error
