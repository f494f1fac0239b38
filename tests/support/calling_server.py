"""A real embedded server with calls, as a process: `calling_server PORT FOLDER`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from aiohttp import web

from server.compose.calls import ChatCallLog, ChatRooms, LeavingOutlet
from server.compose.server import Server
from server.kernel.config import Config
from server.kernel.config import Server as Settings
from signaling.wiring import CallsPart, Urls, build


class CallingServer(Server):
    """Compose's server, and calls on its hub."""

    calls: CallsPart

    async def _make_parts(self) -> None:
        await super()._make_parts()
        outlet = LeavingOutlet(self.hub.outlet)
        self.calls = await build(
            self.store, rooms=ChatRooms(self.chat), call_log=ChatCallLog(self.chat),
            outlet=self.hub.outlet, urls=Urls(("turn:127.0.0.1:3478",)), clock=self.clock,
            ids=self.ids, tasks=self.tasks,
        )  # fmt: skip
        outlet.calls = self.calls
        self.chat.announcer._outlet = outlet
        self._closers.append(self.calls.close)

    def _make_app(self) -> web.Application:
        self.hub.mount(self.calls.events)
        app = super()._make_app()
        self.hub.observe(self.calls)
        return app


async def main(port: int, folder: Path) -> None:
    settings = Settings(host="127.0.0.1", port=port, data=str(folder))
    server = CallingServer(Config(server=settings))
    await server.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
