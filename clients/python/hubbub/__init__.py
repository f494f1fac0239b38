"""Hubbub's Python SDK: log in, send, hear every event of one's rooms once and in order.

async with Client("http://127.0.0.1:8008") as client:
    await client.log_in("alice", "correct horse")
    feed = client.events()
    await client.connect()
    async for item in feed: ...
"""

from hubbub.calls.call import Call
from hubbub.calls.shapes import CallChanged, CallInfo, CallRinging, CallSignal
from hubbub.client import Client
from hubbub.errors import HubbubError
from hubbub.models import (
    Connected,
    Disconnected,
    Event,
    Gap,
    Item,
    PresenceChanged,
    Receipt,
    Reset,
    RoomAdded,
    RoomEvent,
    RoomInfo,
    RoomRemoved,
    RoomUpdated,
    Sent,
    Session,
    SessionEnded,
    Typing,
    User,
)
from hubbub.room import Room

__all__ = [
    "Call",
    "CallChanged",
    "CallInfo",
    "CallRinging",
    "CallSignal",
    "Client",
    "Connected",
    "Disconnected",
    "Event",
    "Gap",
    "HubbubError",
    "Item",
    "PresenceChanged",
    "Receipt",
    "Reset",
    "Room",
    "RoomAdded",
    "RoomEvent",
    "RoomInfo",
    "RoomRemoved",
    "RoomUpdated",
    "Sent",
    "Session",
    "SessionEnded",
    "Typing",
    "User",
]
