"""The cast of `hubbub dev`: Alice, Bob, a room for both, and a bot that answers."""

from __future__ import annotations

import asyncio
import contextlib

from hubbub import Client, Room
from hubbub.errors import HubbubError
from hubbub.models import Event, RoomEvent, Session

from server.accounts.shapes import Session as MadeSession
from server.cli.terms import say
from server.compose import Server
from server.kernel import json
from server.kernel.tasks import TaskOwner

ROOM = "Lobby"
READING_S, TYPING_S = 0.4, 1.0
WAITING_MOST = 100
"""Messages the bot may have in hand; more are left unanswered."""

_tasks = TaskOwner("demo")
_bots: list[EchoBot] = []


class EchoBot:
    """Reads, types, repeats: every direct message, and in groups what begins with its name."""

    def __init__(self, url: str, session: Session) -> None:
        self._client = Client(url)
        self._client.resume(session)

    async def start(self) -> None:
        feed = self._client.events()
        await self._client.connect()
        _tasks.start(self._listen(feed), "echo")

    async def stop(self) -> None:
        with contextlib.suppress(HubbubError):
            await self._client.log_out()
        await self._client.close()

    async def _listen(self, feed: object) -> None:
        assert hasattr(feed, "__aiter__")
        async for item in feed:
            if not isinstance(item, RoomEvent) or item.event.sender_id == self._client.me.id:
                continue
            room = self._client.rooms.get(item.event.room_id)
            if room is not None and item.event.type == "message" and len(_tasks) < WAITING_MOST:
                _tasks.start(self._answer(room, item.event), "answer")

    async def _answer(self, room: Room, event: Event) -> None:
        addressed = event.body.lower().lstrip("@").startswith("echo")
        with contextlib.suppress(HubbubError):
            await asyncio.sleep(READING_S)
            await room.mark_read(event.seq)
            if room.info.kind != "direct" and not addressed:
                return
            await room.typing()
            await asyncio.sleep(TYPING_S)
            await room.send(event.body, reply_to=event.seq)
            await room.typing(False)


async def start(server: Server) -> None:
    """Make who and what is missing, start the bot, print the links."""
    operator = server.accounts.operator
    for name in ("alice", "bob", "echo"):
        await operator.ensure_user(name, display_name=name.capitalize())
    bot_session = _session(await operator.mint("echo", device_name="echo bot"))
    await _furnish(server)
    bot = EchoBot(server.url, bot_session)
    await bot.start()
    _bots.append(bot)
    for name in ("alice", "bob"):
        link = await operator.login_link(server.url, name, uses=100)
        say(f"{name.capitalize():>5}: {link}")
    say("Open each in a tab of its own. Echo answers direct messages.")


async def stop() -> None:
    await _tasks.close()
    while _bots:
        await _bots.pop().stop()


async def _furnish(server: Server) -> None:
    """Rooms are made by Alice over the wire, as anybody would."""
    operator = server.accounts.operator
    ids = {name: (await operator.user(name)).id for name in ("bob", "echo")}
    async with Client(server.url) as alice:
        alice.resume(_session(await operator.mint("alice", device_name="dev")))
        await alice.connect()
        await alice.direct(ids["echo"])
        await alice.direct(ids["bob"])
        if not any(room.info.name == ROOM for room in alice.rooms.values()):
            room = await alice.create_room(name=ROOM, member_ids=list(ids.values()))
            await room.send("Welcome! Write “echo, are you there?” and see who answers.")
        await alice.log_out()


def _session(made: MadeSession) -> Session:
    """The accounts part's session as the SDK has it: both are the wire's shape."""
    import msgspec

    return msgspec.json.decode(json.encode(made), type=Session)
