"""The echo bot of `hubbub dev`: repeats what is written, and in calls what is said and shown."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from importlib import import_module

from hubbub import CallRinging, Client, Room
from hubbub.calls import media
from hubbub.calls.call import Call
from hubbub.calls.media import MediaCall
from hubbub.calls.shapes import CallInfo, Participant
from hubbub.errors import Conflict, HubbubError
from hubbub.models import Event, Item, RoomEvent, Session

from server.kernel.tasks import TaskOwner

READING_S, TYPING_S = 0.4, 1.0
WAITING_MOST = 100
"""Messages the bot may have in hand; more are left unanswered."""

CALLS_MOST = 3
"""At once: an echo of 320x180 at 15 frames/s takes a fifth of a core."""

RING_S = 1.0
GROUP_RING_S = 15.0
"""People first: as long as a call is between two, whoever takes it keeps the others out."""

UNCONNECTED_S = 30.0
CALL_S = 3600.0
LOOK_S = 1.0


class EchoBot:
    """Every direct message, and in groups what begins with its name; calls if aiortc is there."""

    def __init__(self, url: str, session: Session, tasks: TaskOwner) -> None:
        self._client = Client(url)
        self._client.resume(session)
        self._tasks = tasks
        self.calls = EchoCalls(self._client, tasks)
        self.hears_calls = False
        """As the server announces; known from `start` on."""

    async def start(self) -> None:
        feed = self._client.events()
        info = await self._client.server_info()
        self.hears_calls = "calls" in info.features
        await self._client.connect()
        self._tasks.start(self._listen(feed), "echo")
        if self.hears_calls and media.installed():
            # Half a second of imports, which the first caller need not wait for.
            self._tasks.start(asyncio.to_thread(import_module, "hubbub.calls.echo"), "imports")
            self._tasks.start(asyncio.to_thread(import_module, "hubbub.calls.peer"), "imports")

    async def stop(self) -> None:
        await self.calls.leave_all()
        with contextlib.suppress(HubbubError):
            await self._client.log_out()
        await self._client.close()

    async def _listen(self, feed: AsyncIterator[Item]) -> None:
        async for item in feed:
            if isinstance(item, CallRinging):
                self.calls.ring(item)
            elif isinstance(item, RoomEvent):
                self._read(item.event)

    def _read(self, event: Event) -> None:
        room = self._client.rooms.get(event.room_id)
        if room is None or event.type != "message" or event.sender_id == self._client.me.id:
            return
        if len(self._tasks) < WAITING_MOST:
            self._tasks.start(self._answer(room, event), "answer")

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


class EchoCalls:
    """Takes what rings, `CALLS_MOST` at once; declines the rest."""

    def __init__(self, client: Client, tasks: TaskOwner) -> None:
        self._client = client
        self._tasks = tasks
        self._in_hand: set[str] = set()

    @property
    def count(self) -> int:
        return len(self._in_hand)

    def ring(self, ringing: CallRinging) -> None:
        call_id = ringing.call.id
        if call_id in self._in_hand or len(self._tasks) >= WAITING_MOST:
            return
        if self.count >= CALLS_MOST or not media.installed():
            self._tasks.start(self._decline(call_id), "decline")
            return
        self._in_hand.add(call_id)
        self._tasks.start(self._take(ringing.call), "call")

    async def leave_all(self) -> None:
        for call in list(self._client.calls.joined.values()):
            with contextlib.suppress(HubbubError):
                await call.leave()

    async def _decline(self, call_id: str) -> None:
        with contextlib.suppress(HubbubError):
            await self._client.calls.decline(call_id)

    async def _take(self, info: CallInfo) -> None:
        try:
            if await self._still_rings(info):
                with contextlib.suppress(Conflict):  # it ended, or somebody was faster
                    await self._talk(await self._client.calls.accept(info.id))
        except HubbubError:
            await self._decline(info.id)
        finally:
            self._in_hand.discard(info.id)

    async def _still_rings(self, info: CallInfo) -> bool:
        room = self._client.rooms.get(info.room_id)
        direct = room is not None and room.info.kind == "direct"
        left_s = RING_S if direct else GROUP_RING_S
        while left_s > 0 and info.id in self._client.calls.ringing:
            await asyncio.sleep(min(left_s, LOOK_S))
            left_s -= LOOK_S
        return info.id in self._client.calls.ringing

    async def _talk(self, call: Call) -> None:
        from hubbub.calls.echo import Echo

        talk = MediaCall(call, Echo, accepted=True)
        try:
            async with asyncio.timeout(CALL_S), asyncio.TaskGroup() as group:
                group.create_task(talk.run(), name="echo.media")
                group.create_task(self._watch(call, talk), name="echo.watch")
        except TimeoutError:
            return
        finally:
            with contextlib.suppress(HubbubError):
                await call.leave()

    async def _watch(self, call: Call, talk: MediaCall) -> None:
        """Leaves when nobody is there any more, or nothing comes through for long."""
        unconnected_s = 0.0
        while not call.over:
            unconnected_s = 0.0 if talk.connected else unconnected_s + LOOK_S
            if not call.others or unconnected_s > UNCONNECTED_S:
                await call.leave()
                return
            await _mirror(call)
            await asyncio.sleep(LOOK_S)


async def _mirror(call: Call) -> None:
    """Says of each source what the others say: muted when all of them are."""
    mine = {track.source: track.muted for track in call.own_tracks}
    for source, muted in _muted(call.others).items():
        if mine.get(source, True) != muted:
            with contextlib.suppress(HubbubError):
                await call.mute(source, muted)


def _muted(others: list[Participant]) -> dict[str, bool]:
    found: dict[str, bool] = {}
    for other in others:
        for track in other.tracks:
            found[track.source] = track.muted and found.get(track.source, True)
    return found
