"""Fills a data folder, or the stores of a cluster, before the server starts: users, sessions with
tokens, rooms with their logs.

Signing up over HTTP costs an Argon2 hash each, which is right there and too slow here. The rows are
what sign-up, login and room creation write; passwords are not set, so nobody can log in with one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from crypto.tokens import Claims
from server.accounts.keys import Keys, load_keys
from server.chat.fold import rebuild_room
from server.compose.stores import open_store
from server.kernel.clock import System
from server.kernel.config import Config
from server.kernel.ids import DeviceId, EventId, LogId, RandomIds, RoomId, Seq, SessionId, UserId
from storage.api import Batch, DeviceRow, Event, SessionRow, Store, UserRow
from storage.sqlite import open_sqlite

DAY_MS = 86_400_000
AT_ONCE = 200
PAGE = 500

_ids = RandomIds()


@dataclass(frozen=True)
class Person:
    user_id: UserId
    device_id: DeviceId
    token: str


def seed_people(place: Path | Config, count: int, group: int, first: int = 0) -> list[str]:
    """`count` people in rooms of `group` neighbours each (0: no rooms). `place`: a data folder, or
    what names the stores. `first`: the number in the first one's user name.

    Returns a line "token room" for each, in the order of the load generator's sockets.
    """
    return asyncio.run(_seed_people(place, count, group, first))


def seed_history(
    place: Path | Config, events: int, *, first: int = 0, at_once: int = PAGE
) -> tuple[str, str]:
    """One room of two with a log of `events` events. Returns a member's token and the room's id.

    `at_once`: events of one append, as many as the log takes.
    """
    return asyncio.run(_seed_history(place, events, first, at_once))


async def _open(place: Path | Config) -> Store:
    if isinstance(place, Config):
        return await open_store(place)
    return await open_sqlite(place, clock=System())


async def _seed_people(place: Path | Config, count: int, group: int, first: int) -> list[str]:
    store = await _open(place)
    try:
        people = await _people(store, count, first)
        if not group:
            return [f"{person.token} -" for person in people]
        lines = []
        for start in range(0, count, group):
            members = people[start : start + group]
            room_id = await _room(store, members, f"room {start // group}")
            lines += [f"{person.token} {room_id}" for person in members]
        return lines
    finally:
        await store.close()


async def _seed_history(
    place: Path | Config, events: int, first: int, at_once: int
) -> tuple[str, str]:
    store = await _open(place)
    try:
        people = await _people(store, 2, first)
        room_id = await _room(store, people, "long")
        await _messages(store, room_id, people, events, at_once)
        await rebuild_room(store, room_id)
        return people[0].token, room_id
    finally:
        await store.close()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def _people(store: Store, count: int, first: int) -> list[Person]:
    keys = await load_keys(store.accounts)
    people: list[Person] = []
    for start in range(0, count, AT_ONCE):
        numbers = range(first + start, first + min(count, start + AT_ONCE))
        people += await asyncio.gather(*(_person(store, keys, number) for number in numbers))
    return people


async def _person(store: Store, keys: Keys, number: int) -> Person:
    now = now_ms()
    user = UserRow(
        UserId(_ids.new(now)), f"user{number}", f"User {number}", password_hash="", created_at=now
    )
    device = DeviceRow(DeviceId(_ids.new(now)), user.id, "bench", "bench", now)
    session = SessionRow(
        SessionId(_ids.new(now)), user.id, device.id, created_at=now, last_used_at=now,
        expires_at=now + DAY_MS,
    )  # fmt: skip
    await store.accounts.add_user(user)
    await store.accounts.put_device(device)
    await store.accounts.add_session(session)
    claims = Claims(user.id, device.id, session.id, 0, (now + DAY_MS) // 1000)
    return Person(user.id, device.id, keys.access.sign(claims))


async def _room(store: Store, members: Sequence[Person], name: str) -> RoomId:
    now = now_ms()
    room_id, log_id = RoomId(_ids.new(now)), LogId(_ids.new(now))
    creator = members[0]
    settings = {
        "kind": "group", "visibility": "private", "history": "all", "e2ee": False, "name": name,
    }  # fmt: skip
    contents: list[tuple[str, object]] = [("room", {"changes": settings})]
    for member in members:
        first = member is creator
        contents.append(("member", {
            "user_id": member.user_id, "change": "joined" if first else "added",
            "role": "owner" if first else "member", "by": creator.user_id,
        }))  # fmt: skip
    await store.log.create(room_id, log_id)
    events = tuple(
        Event(
            room_id, log_id, Seq(seq), EventId(_ids.new(now)), now, kind, creator.user_id,
            creator.device_id, content=msgspec.Raw(msgspec.json.encode(content)),
        )  # type: ignore[arg-type]
        for seq, (kind, content) in enumerate(contents, 1)
    )  # fmt: skip
    await store.log.append(Batch(room_id, Seq(0), events))
    await rebuild_room(store, room_id)
    return room_id


async def _messages(
    store: Store, room_id: RoomId, people: Sequence[Person], last: int, at_once: int
) -> None:
    head = (await store.log.heads([room_id]))[room_id]
    at = head.head
    while at < last:
        seqs = range(at + 1, min(last, at + at_once) + 1)
        batch = tuple(_message(room_id, head.log_id, seq, head.head, people) for seq in seqs)
        refused = await store.log.append(Batch(room_id, at, batch))
        if refused is not None:
            raise RuntimeError(f"the log refused {refused}")
        at = Seq(seqs[-1])


def _message(
    room_id: RoomId, log_id: LogId, seq: int, before: int, people: Iterable[Person]
) -> Event:
    first, second = people
    sender = first if seq % 2 else second
    now = now_ms()
    content = {"type": "text", "body": f"{seq:<120}"}
    return Event(
        room_id, log_id, Seq(seq), EventId(_ids.new(now)), now, "message", sender.user_id,
        sender.device_id, content=msgspec.Raw(msgspec.json.encode(content)),
        client_id=_ids.new(now), n=seq - before,
    )  # fmt: skip
