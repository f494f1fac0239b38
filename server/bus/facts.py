"""The facts that the server tells. They carry ids: a broker holds nothing that must be erased."""

from __future__ import annotations

from server.kernel.ids import DeviceId, SessionId, UserId
from storage.api import Event, Fact


def stored(event: Event) -> Fact:
    """`message.stored`, `reaction.stored`, ...: a row of a room's log. The same row always gives
    the same id.
    """
    name = f"{event.type}.stored"
    return _fact(
        name, event.id, event.at,
        room_id=event.room_id, seq=event.seq, event_id=event.id, sender_id=event.sender_id,
    )  # fmt: skip


def user_created(user_id: UserId, at: int) -> Fact:
    return _fact("user.created", user_id, at, user_id=user_id)


def session_ended(session_id: SessionId, at: int, *, user_id: UserId, device_id: DeviceId) -> Fact:
    return _fact(
        "session.ended", session_id, at,
        session_id=session_id, user_id=user_id, device_id=device_id,
    )  # fmt: skip


def _fact(name: str, subject: str, at: int, **data: str | int) -> Fact:
    return Fact(name, f"{name}:{subject}", at, data)
