"""The HTTP routes of rooms, their members and events, and blocks (PROTOCOL sections 1 and 5)."""

from __future__ import annotations

from server.chat.rooms import RoomDesk
from server.chat.service import Chat
from server.chat.shapes import (
    Added,
    AddMembers,
    EventQuery,
    HistoryPage,
    MemberQuery,
    Members,
    NewRoom,
    PatchMember,
    PatchRoom,
    RoomQuery,
    Rooms,
    RoomView,
)
from server.kernel.events import Reply, Request, RouteTable
from server.kernel.ids import RoomId, UserId

routes = RouteTable()

ROOMS = "/api/v1/rooms"
ROOM = "/api/v1/rooms/{room_id}"
MEMBERS = "/api/v1/rooms/{room_id}/members"
MEMBER = "/api/v1/rooms/{room_id}/members/{user_id}"
BLOCK = "/api/v1/blocks/{user_id}"


@routes.on("POST", ROOMS, body=NewRoom, answer=RoomView, status=201)
async def create_room(request: Request, chat: Chat) -> Reply:
    """Make a room; a second direct room of the same two users answers 200 with the first."""
    view, new = await RoomDesk(chat).create(request.by, request.body)
    return Reply(view, 201 if new else 200)


@routes.on("GET", ROOMS, query=RoomQuery, answer=Rooms)
async def list_rooms(request: Request, chat: Chat) -> Rooms:
    """List one's own rooms, or search the public ones."""
    return await RoomDesk(chat).list_mine(request.by, request.query)


@routes.on("GET", ROOM, answer=RoomView)
async def get_room(request: Request, chat: Chat) -> RoomView:
    """Get a room as one has it."""
    return await chat.view(request.by.user_id, _room_id(request))


@routes.on("PATCH", ROOM, body=PatchRoom, answer=RoomView)
async def patch_room(request: Request, chat: Chat) -> RoomView:
    """Change a room's settings."""
    return await RoomDesk(chat).change(request.by, _room_id(request), request.body)


@routes.on("GET", MEMBERS, query=MemberQuery, answer=Members)
async def list_members(request: Request, chat: Chat) -> Members:
    """List a room's members."""
    return await RoomDesk(chat).members(request.by, _room_id(request), request.query)


@routes.on("POST", MEMBERS, body=AddMembers, answer=Added)
async def add_members(request: Request, chat: Chat) -> Added:
    """Add members, or oneself to a public room."""
    return Added(await RoomDesk(chat).add(request.by, _room_id(request), request.body))


@routes.on("PATCH", MEMBER, body=PatchMember, answer=RoomView)
async def patch_member(request: Request, chat: Chat) -> RoomView:
    """Give a member another role."""
    room_id = _room_id(request)
    await RoomDesk(chat).set_role(request.by, room_id, _user_id(request), request.body.role)
    return await chat.view(request.by.user_id, room_id)


@routes.on("DELETE", MEMBER)
async def remove_member(request: Request, chat: Chat) -> None:
    """Remove a member, or leave."""
    await RoomDesk(chat).remove(request.by, _room_id(request), _user_id(request))


@routes.on("GET", ROOM + "/events", query=EventQuery, answer=HistoryPage)
async def list_events(request: Request, chat: Chat) -> HistoryPage:
    """Read a page of a room's log."""
    return await chat.history(request.by, _room_id(request), request.query)


@routes.on("PUT", BLOCK)
async def block_user(request: Request, chat: Chat) -> None:
    """Take no more messages from a user."""
    await RoomDesk(chat).block(request.by, UserId(request.path["user_id"]), True)


@routes.on("DELETE", BLOCK)
async def unblock_user(request: Request, chat: Chat) -> None:
    """Take messages from a user again."""
    await RoomDesk(chat).block(request.by, UserId(request.path["user_id"]), False)


def _room_id(request: Request) -> RoomId:
    return RoomId(request.path["room_id"])


def _user_id(request: Request) -> UserId:
    named = request.path["user_id"]
    return request.by.user_id if named == "me" else UserId(named)
