"""Runs N workers of the hub's engine on one port, under the product's own parent process.

python -m tests.support.worker_server --workers N --mode engineio|socketio [--loop uvloop|asyncio]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from dataclasses import replace
from typing import Any

import uvloop
from aiohttp import web

from server.cli.workers import Parent, Place, hold_port, private_folder
from server.hub.engineio.api import Options
from server.hub.engineio.engine import Engine
from server.hub.namespaces import HubServer
from server.hub.transport.acceptor import Acceptor
from server.hub.transport.handover import Handover
from server.hub.transport.polling import add_polling
from server.kernel.logs import configure_logs
from tests.support.protocol_modes import PROTOCOL_OPTIONS, EchoHandlers
from tests.support.protocol_modes_socketio import Rooms

ENGINEIO = replace(PROTOCOL_OPTIONS, ping_interval_s=25.0, ping_timeout_s=20.0)
SOCKETIO = Options(allowed_origins=("*",))


def make_engine(mode: str) -> Engine:
    if mode == "engineio":
        return Engine(EchoHandlers(), ENGINEIO)
    server = HubServer(SOCKETIO)
    Rooms(server)
    engine: Engine = server.eio.engine
    return engine


async def live(place: Place, mode: str, host: str, port: int) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    loop.add_reader(place.lifeline, lambda: (loop.remove_reader(place.lifeline), ended.set()))
    engine = make_engine(mode)
    handover = Handover(place.folder)
    acceptor = Acceptor(engine, None, handover=handover)
    app = web.Application()
    add_polling(app, engine, acceptor=acceptor)

    async def show(request: web.Request) -> web.Response:
        counts: dict[str, Any] = {
            "pid": os.getpid(), "tag": handover.tag, "sockets": len(engine.sockets),
            "given": handover.counts.given, "taken": handover.counts.taken,
            "failed": handover.counts.failed, "connections": len(acceptor.connections),
            "fds": len(os.listdir("/proc/self/fd")), "tasks": len(asyncio.all_tasks()),
        }  # fmt: skip
        return web.json_response(counts, headers={"Connection": "close"})

    app.router.add_get("/stats", show)
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=10.0, lingering_time=0.5)
    await runner.setup()
    acceptor.http = runner.server
    bound = await acceptor.listen(host, port)
    place.ready(f"listening on http://{host}:{bound}")
    await ended.wait()
    await acceptor.close()
    await runner.cleanup()
    await handover.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--mode", choices=("engineio", "socketio"), default="engineio")
    parser.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop")
    parser.add_argument("--port", type=int, default=0)
    chosen = parser.parse_args()
    configure_logs("info", "json")
    held = hold_port("127.0.0.1", chosen.port)
    port = held[0].getsockname()[1]
    run = uvloop.run if chosen.loop == "uvloop" else asyncio.run

    def work(place: Place) -> int:
        run(live(place, chosen.mode, "127.0.0.1", port))
        return 0

    def started(lines: list[str]) -> None:
        print("\n".join(lines), flush=True)

    parent = Parent(chosen.workers, private_folder(port), work=work, started=started, drain_s=1.0)
    return parent.run()


if __name__ == "__main__":
    raise SystemExit(main())
