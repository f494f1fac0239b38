"""`client.calls`: what rings, what runs, and the calls this device is in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from hubbub.calls.call import Call, News
from hubbub.calls.shapes import (
    CallChanged,
    CallInfo,
    CallMedia,
    CallRinging,
    CallSignal,
    Joined,
)
from hubbub.errors import Conflict, HubbubError, LineBroken, RateLimited

if TYPE_CHECKING:
    from hubbub.client import Client

Request = Callable[[str, Mapping[str, Any]], Awaitable[dict[str, Any]]]
EARLY_MOST = 128
"""Signals kept while an answer to start or accept is under way."""
KNOWN_MOST = 1_000
"""Calls whose newest state is remembered."""


class Calls:
    """Commands raise the server's refusal, or LineBroken without a connection.

    Everything heard comes as `CallRinging`, `CallChanged` and `CallSignal` in the client's feeds.
    """

    def __init__(self, client: Client, emit: Callable[[CallChanged], None]) -> None:
        self._client = client
        self._emit = emit
        self._early: list[News] = []
        self._joining = 0
        self._leaving: set[str] = set()
        self._newest: dict[str, CallInfo] = {}
        self.ringing: dict[str, CallRinging] = {}
        """Who calls, by call id."""
        self.running: dict[str, CallInfo] = {}
        """Heard of and not ended, by room id."""
        self.joined: dict[str, Call] = {}
        """Those this device is in, by call id."""

    async def start(self, room_id: str, media: CallMedia = "audio") -> Call:
        """Call the room's other members; where a call runs already, come into that one."""
        return await self._join("call:start", {"room_id": room_id, "media": media})

    async def accept(self, call_id: str, *, take_over: bool = False) -> Call:
        """Answer, or join a running call; `take_over` brings it here from one's other device."""
        more = {"take_over": True} if take_over else {}
        return await self._join("call:accept", {"call_id": call_id, **more})

    async def decline(self, call_id: str) -> None:
        await self._client.request("call:decline", {"call_id": call_id})
        self.ringing.pop(call_id, None)

    # ---- for the client ----

    def hear(self, item: CallRinging | CallChanged | CallSignal) -> bool:
        """Before it is handed out, so that whoever hears it finds this up to date. False: it is
        older than what was heard before, and no news.
        """
        if not isinstance(item, CallSignal) and not self._learn(item.call):
            return False
        if isinstance(item, CallRinging):
            self.ringing[item.call.id] = item
            self.running[item.call.room_id] = item.call
            return True
        if isinstance(item, CallChanged):
            self._change(item.call)
        call_id = item.call.id if isinstance(item, CallChanged) else item.call_id
        call = self.joined.get(call_id)
        if call is not None:
            call.hear(item)
            if call.over:
                del self.joined[call_id]
        elif self._joining and len(self._early) < EARLY_MOST:
            self._early.append(item)
        return True

    def line_opened(self) -> None:
        """What still rings, rings again; of the rest the next change tells."""
        self.ringing.clear()
        self.running = {call.room_id: call.info for call in self.joined.values()}

    async def come_back(self, request: Request) -> None:
        """On a new line: into the calls this device was in, out of those it left meanwhile."""
        for call_id in list(self._leaving):
            await _quietly(request, "call:leave", call_id)
            self._leaving.discard(call_id)
        for call in list(self.joined.values()):
            await self._come_back(call, request)

    def leave_later(self, call_id: str) -> None:
        self._leaving.add(call_id)

    def close(self) -> None:
        for call in self.joined.values():
            call.finish("failed")
        self.joined.clear()

    async def _come_back(self, call: Call, request: Request) -> None:
        try:
            answer = await request("call:accept", {"call_id": call.id})
            joined = msgspec.convert(answer, Joined)
            call.ice_servers = joined.ice_servers
            changed = joined.call
        except LineBroken:
            raise
        except HubbubError as error:
            reason = call.info.reason or ("failed" if isinstance(error, Conflict) else error.code)
            changed = msgspec.structs.replace(
                call.info, state="ended", participants=[], reason=reason
            )
        if not call.over:
            self.hear(CallChanged(changed))
            self._emit(CallChanged(changed))

    async def _join(self, event: str, payload: dict[str, Any]) -> Call:
        assert self._client.session is not None
        device_id = self._client.session.device.id
        self._joining += 1
        try:
            answer = await self._client.request(event, payload)
            joined = msgspec.convert(answer, Joined)
            return self._enter(device_id, joined)
        finally:
            self._joining -= 1
            if not self._joining:
                self._early.clear()

    def _enter(self, device_id: str, joined: Joined) -> Call:
        self.ringing.pop(joined.call.id, None)
        call = self.joined.get(joined.call.id)
        if call is None:
            call = Call(self._client, device_id, joined.call, joined.ice_servers)
            self.joined[call.id] = call
        if self._learn(joined.call):
            self._change(joined.call)
        for item in self._early:
            if isinstance(item, CallSignal):
                if item.call_id == call.id:
                    call.hear(item)
            elif item.call.id == call.id and _is_later(item.call, joined.call, device_id):
                self.hear(item)
        return call

    def _learn(self, info: CallInfo) -> bool:
        """False: something newer is known."""
        known = self._newest.get(info.id)
        if known is not None and info.precedes(known):
            return False
        if known is None and len(self._newest) >= KNOWN_MOST:
            del self._newest[next(iter(self._newest))]
        self._newest[info.id] = info
        return True

    def _change(self, info: CallInfo) -> None:
        if info.state != "ringing" or info.reason is not None:
            self.ringing.pop(info.id, None)
        if info.state != "ended":
            self.running[info.room_id] = info
        elif info.room_id in self.running and self.running[info.room_id].id == info.id:
            del self.running[info.room_id]


def _is_later(heard: CallInfo, answer: CallInfo, device_id: str) -> bool:
    """Than the answer that let this device in, although it came before. A server without revisions
    names the device in what is later, unless all is over.
    """
    if heard.revision:
        return not heard.precedes(answer)
    return heard.has(device_id) or heard.state == "ended"


async def _quietly(request: Request, event: str, call_id: str) -> None:
    for _ in range(3):
        try:
            await request(event, {"call_id": call_id})
        except RateLimited as error:
            await asyncio.sleep(error.retry_after_s or 1.0)
            continue
        except LineBroken:
            raise
        except HubbubError:
            pass
        return
