"""The hub's engine with the methods that python-socketio calls on python-engineio's server."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from server.hub.engineio.engine import Engine
from server.hub.outbox import Outbox, Packet
from server.hub.session import State
from server.kernel.tasks import TaskOwner

_ID_BYTES = 15


class EngineAdapter:
    """Source: what AsyncServer, BaseServer and AsyncManager of python-socketio 5.18 use."""

    async_mode = "asyncio"

    def __init__(self, engine: Engine, outbox: Outbox) -> None:
        self.engine = engine
        self._outbox = outbox
        self._tasks = TaskOwner("socketio")

    def on(self, event: str, handler: Callable[..., Any]) -> None:
        """Nothing: HubServer takes the engine's calls itself."""

    def write(self, eio_sid: str, packet: Packet) -> None:
        socket = self.engine.find(eio_sid)
        if socket is not None:
            self._outbox.write(socket.user, packet)

    async def send(self, eio_sid: str, data: str | bytes) -> None:
        socket = self.engine.find(eio_sid)
        if socket is None:
            return
        if isinstance(data, str):
            self._outbox.write(socket.user, Packet(data.encode()))
        elif self._outbox.admits(socket.user, len(data)):
            socket.send_binary(data)

    async def send_packet(self, eio_sid: str, packet: Any) -> None:
        await self.send(eio_sid, packet.data)

    async def disconnect(self, eio_sid: str) -> None:
        socket = self.engine.find(eio_sid)
        if socket is not None:
            socket.user.state = State.ENDED
            socket.close(1000, "server disconnect")

    def transport(self, eio_sid: str) -> str:
        return self.engine.sockets[eio_sid].transport_name

    def generate_id(self) -> str:
        return secrets.token_urlsafe(_ID_BYTES)

    def create_event(self) -> asyncio.Event:
        return asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def start_background_task(
        self, target: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any
    ) -> asyncio.Task[Any]:
        async def work() -> Any:
            return await target(*args, **kwargs)

        return self._tasks.start(work(), getattr(target, "__name__", "task"))

    async def shutdown(self) -> None:
        self.engine.close_all()
        await self._tasks.close()

    def __len__(self) -> int:
        return len(self._tasks)
