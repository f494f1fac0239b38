"""The modes `socketio` and `room`: the product's HubServer with handlers, no wire contract."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from aiohttp import web

from server.hub.driven import drive
from server.hub.engineio.api import Options
from server.hub.lag import LagMeter
from server.hub.metrics import HubMetrics
from server.hub.namespaces import HubServer
from server.kernel.tasks import TaskOwner
from tests.support.protocol_modes import MODES, Stop, serve_engine

SOCKETIO_OPTIONS = Options(
    ping_interval_s=0.3, ping_timeout_s=0.2, unauthenticated_s=1.0, allowed_origins=("*",)
)
"""Those that the official suite wants."""
ROOM_OPTIONS = Options(unauthenticated_s=10.0, allowed_origins=("*",))
ROOM = "room"
AUTH_AFTER_S = 0.01
"""A client that awaits one packet after the other would miss the second one of a single write."""
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def add_suite_handlers(server: HubServer) -> None:
    """What the official Socket.IO protocol test suite expects, on `/` and `/custom`."""

    for namespace in ("/", "/custom"):

        async def on_connect(
            sid: str, environ: dict[str, Any], auth: Any = None, namespace: str = namespace
        ) -> None:
            loop = asyncio.get_running_loop()
            loop.call_later(AUTH_AFTER_S, _emit_auth, server, sid, auth, namespace)

        async def on_message(sid: str, *arguments: Any, namespace: str = namespace) -> None:
            await server.emit("message-back", arguments, to=sid, namespace=namespace)

        async def with_ack(sid: str, *arguments: Any) -> tuple[Any, ...]:
            return arguments

        server.on("connect", on_connect, namespace=namespace)
        server.on("message", on_message, namespace=namespace)
        server.on("message-with-ack", with_ack, namespace=namespace)


def _emit_auth(server: HubServer, sid: str, auth: Any, namespace: str) -> None:
    """After CONNECT's answer, which python-socketio sends once the connect handler returned."""
    work = server.emit("auth", auth or {}, to=sid, namespace=namespace)
    drive(work, lambda result, failed: None, asyncio.get_running_loop())


class Rooms:
    """join, echo, flood."""

    def __init__(self, server: HubServer) -> None:
        self._server = server
        self._tasks = TaskOwner("rooms")
        server.on("join", self.join)
        server.on("echo", self.echo)
        server.on("flood", self.flood)
        server.on("leave", self.leave)

    async def join(self, sid: str, data: Any = None) -> dict[str, Any]:
        await self._server.enter_room(sid, _room(data))
        return {"ok": True}

    async def leave(self, sid: str, data: Any = None) -> dict[str, Any]:
        await self._server.leave_room(sid, _room(data))
        return {"ok": True}

    async def echo(self, sid: str, *arguments: Any) -> tuple[Any, ...]:
        return arguments

    async def flood(self, sid: str, data: Any = None) -> dict[str, Any]:
        wanted = data if isinstance(data, dict) else {}
        size = min(900_000, max(0, int(wanted.get("size", 100))))
        count = min(1_000_000, max(0, int(wanted.get("count", 1))))
        every_s = max(0.0, float(wanted.get("every", 0)) / 1000)
        self._tasks.start(self._flood(_room(data), "x" * size, count, every_s), "flood")
        return {"ok": True}

    async def _flood(self, room: str, payload: str, count: int, every_s: float) -> None:
        for _ in range(count):
            await self._server.emit("m", payload, room=room)
            await asyncio.sleep(every_s)

    def __len__(self) -> int:
        return len(self._tasks)

    async def close(self) -> None:
        await self._tasks.close()


def _room(data: Any) -> str:
    name = data.get("room", ROOM) if isinstance(data, dict) else data
    return f"room:{name or ROOM}"


def stats(server: HubServer, metrics: HubMetrics) -> dict[str, Any]:
    """What an attack must not make grow. `lag_max` (ms) starts anew with each reading."""
    sockets = list(server.eio.engine.sockets.values())
    lag, metrics.loop_lag_max_s = metrics.loop_lag_max_s, 0.0
    with open("/proc/self/statm", encoding="ascii") as statm:
        rss = int(statm.read().split()[1]) * PAGE_BYTES
    return {
        "rss": rss,
        "lag_max": round(lag * 1000, 2),
        "engine_sockets": len(sockets),
        "queue": sum(socket.buffered_bytes() for socket in sockets),
        "tasks": len(asyncio.all_tasks()),
        "fds": len(os.listdir("/proc/self/fd")),
        "pending_binary": server.pending_binary,
        "at": time.time(),
    }


async def socketio_mode(
    host: str, port: int, options: Options = SOCKETIO_OPTIONS
) -> tuple[int, Stop]:
    server = HubServer(options)
    add_suite_handlers(server)
    return await _serve(server, host, port)


async def room_mode(host: str, port: int) -> tuple[int, Stop]:
    server = HubServer(ROOM_OPTIONS)
    rooms = Rooms(server)
    metrics = server.metrics
    lag = LagMeter(metrics, every_s=0.01)
    lag.start()

    async def show(request: web.Request) -> web.Response:
        return web.json_response(stats(server, metrics))

    bound, stop = await _serve(server, host, port, lambda app: app.router.add_get("/stats", show))

    async def stop_all() -> None:
        lag.stop()
        await rooms.close()
        await stop()

    return bound, stop_all


async def _serve(server: HubServer, host: str, port: int, routes: Any = None) -> tuple[int, Stop]:
    bound, stop = await serve_engine(server.eio.engine, host, port, routes=routes)

    async def stop_all() -> None:
        await server.shutdown()
        await stop()

    return bound, stop_all


MODES["socketio"] = socketio_mode
MODES["room"] = room_mode
