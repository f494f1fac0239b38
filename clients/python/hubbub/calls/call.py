"""A call that this device is in: who else is there, and what can be done."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from hubbub.calls.shapes import CallChanged, CallInfo, CallSignal, CallTrack, IceServer, Participant
from hubbub.errors import HubbubError, LineBroken

if TYPE_CHECKING:
    from hubbub.client import Client

UNREAD_MOST = 512
"""News of a call that its reader has not taken; signals past it are lost, states are not."""

News: TypeAlias = CallChanged | CallSignal


class Call:
    """Kept up to date until `over`; after a break of the line the client comes back in by itself.

    `reason`, once it is over: as the server said it, `hung_up` after one's own `leave`.
    """

    def __init__(
        self, client: Client, device_id: str, info: CallInfo, ice_servers: list[IceServer]
    ) -> None:
        self._client = client
        self._device_id = device_id
        self._news: deque[News] = deque()
        self._arrived = asyncio.Event()
        self.info = info
        self.ice_servers = ice_servers
        self.over = False
        self.reason: str | None = None

    def __repr__(self) -> str:
        return f"Call({self.id!r}, {'over' if self.over else self.info.state})"

    @property
    def id(self) -> str:
        return self.info.id

    @property
    def room_id(self) -> str:
        return self.info.room_id

    @property
    def others(self) -> list[Participant]:
        """The devices in it but this one."""
        return [each for each in self.info.participants if each.device_id != self._device_id]

    @property
    def own_tracks(self) -> list[CallTrack]:
        """What the others are told that this device sends."""
        own = (each for each in self.info.participants if each.device_id == self._device_id)
        return [track for each in own for track in each.tracks]

    def precedes(self, device_id: str) -> bool:
        """This device was in the call before that one: it is the polite one when offers cross."""
        order = [each.device_id for each in self.info.participants]
        mine = order.index(self._device_id) if self._device_id in order else len(order)
        return device_id not in order[:mine]

    async def news(self) -> AsyncIterator[News]:
        """Changes and signals of this call, in order, until it is over. For one reader."""
        while True:
            while self._news:
                yield self._news.popleft()
            if self.over:
                return
            self._arrived.clear()
            await self._arrived.wait()

    async def leave(self) -> None:
        """Over at once; without a line the server is told as soon as there is one."""
        await self._go("call:leave")

    async def end(self) -> None:
        """For all. Raises Forbidden: only for who started it, and the room's owner and admins."""
        await self._client.request("call:end", {"call_id": self.id})

    async def signal(self, device_id: str, signal: Mapping[str, Any]) -> None:
        """Hand something to one other device in the call, at most 64 KiB of JSON."""
        await self._client.request(
            "call:signal", {"call_id": self.id, "to_device_id": device_id, "signal": signal}
        )

    async def mute(self, source: str, muted: bool = True) -> None:
        """Tell the others what is sent: `mic`, `camera`, `screen`, `screen_audio`."""
        await self._client.request(
            "call:mute", {"call_id": self.id, "track_id": source, "muted": muted}
        )

    # ---- for `Calls` ----

    def hear(self, item: News) -> None:
        if isinstance(item, CallChanged):
            if item.call.precedes(self.info):
                return
            self.info = item.call
            gone = not item.call.has(self._device_id)
            if gone or item.call.state == "ended":
                self.finish(item.call.reason or "hung_up")
        elif len(self._news) >= UNREAD_MOST:
            return
        self._news.append(item)
        self._arrived.set()

    def finish(self, reason: str) -> None:
        self.over, self.reason = True, self.reason or reason
        self._arrived.set()

    async def _go(self, event: str) -> None:
        if self.over:
            return
        self.finish("hung_up")
        try:
            await self._client.request(event, {"call_id": self.id})
        except LineBroken:
            self._client.calls.leave_later(self.id)
        except HubbubError:
            return  # it was over already
