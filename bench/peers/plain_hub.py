"""The hub that everybody writes first: python-socketio on aiohttp and uvloop, nothing stored."""

import sys

import socketio
import uvloop
from aiohttp import web

sio = socketio.AsyncServer(async_mode="aiohttp", cors_allowed_origins="*")
app = web.Application()
sio.attach(app)


@sio.on("join")
async def join(sid: str, data: dict[str, str]) -> dict[str, bool]:
    await sio.enter_room(sid, data["room"])
    return {"ok": True}


@sio.on("send")
async def send(sid: str, data: dict[str, str]) -> dict[str, bool]:
    await sio.emit("m", {"body": data["body"], "from": sid}, room=data["room"])
    return {"ok": True}


async def index(request: web.Request) -> web.Response:
    return web.Response(text="ok")


if __name__ == "__main__":
    app.router.add_get("/", index)
    uvloop.install()
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
