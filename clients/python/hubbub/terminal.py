"""`hubbub chat`: rooms, messages and who is typing, in a plain terminal."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import sys
import threading
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.text import Text

from hubbub.calls.shapes import CallChanged, CallRinging
from hubbub.client import Client
from hubbub.errors import HubbubError, Unauthorized
from hubbub.models import (
    Connected,
    Disconnected,
    Event,
    Gap,
    Item,
    RoomAdded,
    RoomEvent,
    RoomRemoved,
    SessionEnded,
    Typing,
)
from hubbub.room import Room

HELP = """/rooms             list rooms          /open N or NAME    go into a room
/direct USERNAME   talk to somebody    /new NAME          make a group
/add USERNAME      add to this group   /who               members of this room
/history [N]       older messages      /help  /logout  /quit
Anything else is sent to the open room."""


class Terminal:
    """One person at one terminal. Output by rich, so that it stays readable without colours."""

    def __init__(self, client: Client, console: Console) -> None:
        self._client = client
        self._console = console
        self._open: Room | None = None
        self._names: dict[str, str] = {}
        self._rings: set[str] = set()
        self._leaving = False
        self._commands: dict[str, Callable[[str], Awaitable[None]]] = {
            "rooms": self._rooms, "open": self._enter, "direct": self._direct, "new": self._new,
            "add": self._add, "who": self._who, "history": self._history, "help": self._help,
            "logout": self._log_out, "quit": self._quit,
        }  # fmt: skip

    async def run(self) -> None:
        feed = self._client.events()
        await self._client.connect()
        listening = asyncio.create_task(self._listen(feed))
        try:
            await self._rooms("")
            await self._help("")
            lines = _lines()
            while not self._leaving and (line := await lines.get()) is not None:
                await self._do(line.strip())
        finally:
            listening.cancel()

    async def _do(self, line: str) -> None:
        try:
            if line.startswith("/"):
                name, _, rest = line[1:].partition(" ")
                await self._commands.get(name, self._help)(rest.strip())
            elif line and self._open is not None:
                await self._open.send(line)
            elif line:
                self._note("Open a room first: /open 1")
        except HubbubError as error:
            self._note(f"{error.text} ({error.code})")

    # ---- commands ----

    def _sorted(self) -> list[Room]:
        return sorted(self._client.rooms.values(), key=lambda room: room.info.created_at)

    async def _rooms(self, _rest: str) -> None:
        for number, room in enumerate(self._sorted(), 1):
            unread = f"  {room.info.unread} new" if room.info.unread else ""
            self._note(f"{number:3}  {await self._title(room)}{unread}")

    async def _enter(self, wanted: str) -> None:
        rooms = self._sorted()
        if wanted.isdigit() and 1 <= int(wanted) <= len(rooms):
            await self._go(rooms[int(wanted) - 1])
            return
        for room in rooms:
            if (await self._title(room)).lower().startswith(wanted.lower()):
                await self._go(room)
                return
        self._note("There is no such room: /rooms lists them.")

    async def _direct(self, username: str) -> None:
        found = [user for user in await self._client.users(username) if user.username == username]
        if found:
            await self._go(await self._client.direct(found[0].id))
        else:
            self._note("Nobody of that name can be seen from here.")

    async def _new(self, name: str) -> None:
        await self._go(await self._client.create_room(name=name or "Room"))

    async def _add(self, username: str) -> None:
        for user in await self._client.users(username):
            if self._open is not None and user.username == username:
                await self._open.add([user.id])

    async def _who(self, _rest: str) -> None:
        for member in await self._open.members() if self._open else []:
            self._note(f"{member.user.display_name} ({member.user.username}), {member.role}")

    async def _history(self, count: str) -> None:
        if self._open is not None:
            page = await self._open.history(limit=int(count) if count.isdigit() else 20)
            for event in page.events:
                await self._show(event)

    async def _help(self, _rest: str) -> None:
        self._note(HELP)

    async def _log_out(self, _rest: str) -> None:
        self._leaving = True
        await self._client.log_out()

    async def _quit(self, _rest: str) -> None:
        self._leaving = True

    async def _go(self, room: Room) -> None:
        self._open = room
        self._console.rule(Text(await self._title(room)))
        await self._history("")
        await room.mark_read(room.info.head)

    # ---- what is heard ----

    async def _listen(self, feed: object) -> None:
        assert hasattr(feed, "__aiter__")
        async for item in feed:
            with contextlib.suppress(HubbubError):
                await self._heard(item)

    async def _heard(self, item: Item) -> None:
        match item:
            case RoomEvent(event) if self._open is not None and event.room_id == self._open.id:
                await self._show(event)
                await self._open.mark_read(event.seq)
            case RoomEvent(event) if event.type == "message":
                room = self._client.rooms.get(event.room_id)
                self._note(f"New in {await self._title(room) if room else 'another room'}")
            case Typing(room_id, user_id, True) if self._open and room_id == self._open.id:
                self._note(f"{await self._name(user_id)} is typing ...")
            case CallRinging(call) if call.started_by != self._client.me.id:
                self._rings.add(call.id)
                name = await self._name(call.started_by)
                self._note(f"{name} calls you: answer in the web page.")
            case CallChanged(call) if call.id in self._rings and not self._still_rings(call.id):
                self._rings.discard(call.id)
                self._note("It rings no more.")
            case RoomAdded(room):
                self._note(f"You are in {room.name or 'a new conversation'} now.")
            case RoomRemoved():
                self._note("You are no longer in a room.")
            case Gap():
                self._note("(older messages are gone)")
            case Disconnected():
                self._note("No connection; what you write is kept and sent later.")
            case Connected():
                self._note("Connected.")
            case SessionEnded(reason):
                self._note(f"The session ended: {reason}.")
            case _:
                pass

    async def _show(self, event: Event) -> None:
        at = datetime.fromtimestamp(event.at / 1000).astimezone().strftime("%H:%M")
        name = await self._name(event.sender_id)
        line = Text(f"{at} ", style="dim").append(f"{name}: ", style="bold")
        content = event.content or {}
        match event.type:
            case "message":
                line.append(event.body if event.gone is None else f"({event.gone})")
            case "edit":
                line.append(f"(edits {event.target_seq}) {event.body}", style="italic")
            case "delete":
                line.append(f"(deletes {event.target_seq})", style="italic")
            case "reaction":
                line.append(f"{content.get('emoji', '')} on {event.target_seq}")
            case "member":
                who = await self._name(str(content.get("user_id", "")))
                line.append(f"{who} {content.get('change', '')}", style="italic")
            case "call":
                line.append(_call_line(content, self._client.me.id), style="italic")
            case other:
                line.append(f"({other})", style="italic")
        self._console.print(line)

    def _still_rings(self, call_id: str) -> bool:
        return call_id in self._client.calls.ringing

    async def _title(self, room: Room) -> str:
        others = [user for user in room.info.user_ids if user != self._client.me.id]
        if room.info.kind == "direct" and others:
            return await self._name(others[0])
        return room.info.name or room.id

    async def _name(self, user_id: str) -> str:
        if user_id not in self._names:
            with contextlib.suppress(HubbubError):
                user = await self._client.user(user_id)
                self._names[user_id] = user.display_name
        return self._names.get(user_id, user_id[:8])

    def _note(self, text: str) -> None:
        self._console.print(Text(text, style="dim"))


def _call_line(content: dict[str, Any], me: str) -> str:
    """Of the log's event: how long it was, or that one missed it."""
    inside = {str(each.get("user_id", "")) for each in content.get("participants", [])}
    if content.get("outcome") == "hung_up" and len(inside) > 1:
        seconds = (content.get("ended_at", 0) - content.get("started_at", 0)) // 1000
        length = f"call of {seconds // 60}:{seconds % 60:02}"
        return length if me in inside else f"{length}, which you missed"
    return "called, nobody answered" if me in inside else "missed call"


def _lines() -> asyncio.Queue[str | None]:
    """Lines of standard input, read by a thread so that typing blocks nothing. None: the end."""
    lines: asyncio.Queue[str | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        with contextlib.suppress(RuntimeError):
            for line in sys.stdin:
                loop.call_soon_threadsafe(lines.put_nowait, line)
            loop.call_soon_threadsafe(lines.put_nowait, None)

    threading.Thread(target=read, daemon=True, name="stdin").start()
    return lines


async def _log_in(client: Client, console: Console) -> None:
    username = console.input("User name: ")
    password = getpass.getpass("Password: ")
    try:
        await client.log_in(username, password, device_name="terminal")
    except Unauthorized as error:
        if error.field != "totp":
            raise
        await client.log_in(username, password, totp=console.input("Code: "))


async def chat(url: str) -> int:
    console = Console(highlight=False)
    place = urlsplit(url)
    state = Path.home() / ".local/state/hubbub" / f"{place.hostname}-{place.port or 80}.sqlite"
    async with Client(url, state=state) as client:
        try:
            if client.session is None:
                await _log_in(client, console)
            await Terminal(client, console).run()
        except HubbubError as error:
            console.print(Text(f"{error.text} ({error.code})"))
            return 1
    return 0


def main(url: str) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        raise SystemExit(asyncio.run(chat(url)))
