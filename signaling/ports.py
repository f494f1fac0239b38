"""What calls need of the rest of the server; compose hands it in."""

from __future__ import annotations

from typing import Protocol

from server.kernel.ids import RoomId, UserId
from signaling.inputs import RoomFacts
from signaling.views import CallRecord


class Rooms(Protocol):
    """Who is in a room, now."""

    async def facts(self, room_id: RoomId, user_id: UserId, *, rings_up_to: int) -> RoomFacts:
        """As the user sees it; `members` is None in rooms of more than `rings_up_to`, and in a
        broadcast room.

        Raises:
            NotFound: he is not in it, or there is none. Forbidden: a public room he is not in.
        """
        ...


class CallLog(Protocol):
    """Writes ends of calls to rooms' logs."""

    async def append(self, record: CallRecord) -> None:
        """One `call` event by the starter with `record.content`; its client id is the call's id, so
        that a second time is the first. On return it is durable.

        Raises:
            Unavailable: not now. NotFound: the room is gone. Conflict: another record of this call
            is there already.
        """
        ...


class EndedCalls(Protocol):
    """What is kept of calls that are over."""

    async def find(self, call_id: str) -> CallRecord | None:
        """None: it runs, or never was, or is forgotten. Raises Unavailable."""
        ...


class UrlSource(Protocol):
    """Where clients find STUN and TURN: URLs of RFC 7064 and 7065. They may change."""

    def now(self) -> tuple[str, ...]: ...

    async def known(self) -> bool:
        """Waits for the first of a server that has just started, some seconds at most."""
        ...
