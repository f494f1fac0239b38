"""How a part declares what it answers: tables of socket events and of HTTP routes.

A part fills a table at import time, `server.compose` binds its service to it, the hub and the HTTP
server
only serve what is bound. Handlers translate between the wire and the service; they decide nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from server.kernel.ids import DeviceId, SessionId, SocketId, UserId

_F = TypeVar("_F", bound=Callable[..., Awaitable[Any]])


class Context(msgspec.Struct, frozen=True):
    """Who asks: ids only. `socket_id` is empty on HTTP. `admin`: an administrator of the server."""

    user_id: UserId
    device_id: DeviceId
    session_id: SessionId
    socket_id: SocketId = SocketId("")
    admin: bool = False


class Empty(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A payload or query without members."""


# ---- socket events -------------------------------------------------------------------------------

EventHandler = Callable[[Context, Any], Awaitable[Any]]


@dataclass(frozen=True)
class BoundEvent:
    """One client event of the wire: its name, its shape, its handler, and the name of its rate
    limit.
    """

    name: str
    shape: type[msgspec.Struct]
    handler: EventHandler
    rate: str | None


class EventTable:
    """The socket events of one part.

        events = EventTable()

        @events.on("typing:set", SetTyping)
        async def set_typing(ctx: Context, cmd: SetTyping, typing: Typing) -> dict[str, object]: ...

    The third argument is the service that `bind` supplies. What the handler returns becomes the
    `data` of
    the acknowledgement: a dict or a msgspec Struct. `rate` names a bucket of the limits in force
    ("send":
    `limits.send_per_s` and `send_burst` for each user); None: only the hub's general bucket of a
    socket.
    A handler awaits the store's future directly, in its own task: what it returns is acknowledged
    in the
    same loop turn, before what the service announces after it.
    """

    def __init__(self) -> None:
        self._rows: dict[
            str, tuple[type[msgspec.Struct], Callable[..., Awaitable[Any]], str | None]
        ] = {}

    def on(
        self, name: str, shape: type[msgspec.Struct], *, rate: str | None = None
    ) -> Callable[[_F], _F]:
        def declare(handler: _F) -> _F:
            if name in self._rows:
                raise ValueError(f"event {name} is declared twice")
            self._rows[name] = (shape, handler, rate)
            return handler

        return declare

    def bind(self, service: object) -> tuple[BoundEvent, ...]:
        return tuple(
            BoundEvent(name, shape, _with_service(handler, service), rate)
            for name, (shape, handler, rate) in self._rows.items()
        )


# ---- HTTP routes ---------------------------------------------------------------------------------


class Request(msgspec.Struct, frozen=True):
    """One HTTP request, checked. `ctx` is None only on routes with `login=False`.

    `path`: the values of the `{names}` of the route's path. `query` and `body`: instances of the
    declared
    shapes. `peer` is the client's address; it goes to limits only, never to a log or an answer.
    """

    ctx: Context | None
    path: Mapping[str, str]
    query: Any
    body: Any
    peer: str

    @property
    def by(self) -> Context:
        """The caller, on routes that need a login."""
        assert self.ctx is not None
        return self.ctx


class Reply(msgspec.Struct, frozen=True):
    """An answer with another status or headers than the route declares. `body` None: no content."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = {}


RouteHandler = Callable[[Request], Awaitable[Any]]


@dataclass(frozen=True)
class Route:
    """A declared route. `answer` is the shape of the success body (None: 204), for OpenAPI and
    encoding.
    """

    method: str
    path: str
    query: type[msgspec.Struct]
    body: type[msgspec.Struct] | None
    answer: Any
    status: int
    login: bool
    rate: str | None
    summary: str


@dataclass(frozen=True)
class BoundRoute:
    route: Route
    handler: RouteHandler


class RouteTable:
    """The HTTP routes of one part.

        routes = RouteTable()

        @routes.on("PATCH", "/api/v1/rooms/{room_id}", body=PatchRoom, answer=RoomView)
        async def patch_room(request: Request, chat: Chat) -> RoomView:
            \"\"\"Change a room's settings.\"\"\"

    The docstring's first line becomes the OpenAPI summary. Raise AppError to refuse.
    """

    def __init__(self) -> None:
        self._rows: list[tuple[Route, Callable[..., Awaitable[Any]]]] = []

    def on(
        self,
        method: str,
        path: str,
        *,
        query: type[msgspec.Struct] = Empty,
        body: type[msgspec.Struct] | None = None,
        answer: Any = None,
        status: int | None = None,
        login: bool = True,
        rate: str | None = None,
    ) -> Callable[[_F], _F]:
        def declare(handler: _F) -> _F:
            done = status or (204 if answer is None else 200)
            summary = (handler.__doc__ or handler.__name__).strip().split("\n")[0]
            self._rows.append(
                (Route(method, path, query, body, answer, done, login, rate, summary), handler)
            )
            return handler

        return declare

    def bind(self, service: object) -> tuple[BoundRoute, ...]:
        return tuple(
            BoundRoute(route, _bind_route(handler, service)) for route, handler in self._rows
        )


def _with_service(handler: Callable[..., Awaitable[Any]], service: object) -> EventHandler:
    def call(ctx: Context, cmd: Any) -> Awaitable[Any]:
        return handler(ctx, cmd, service)

    return call


def _bind_route(handler: Callable[..., Awaitable[Any]], service: object) -> RouteHandler:
    def call(request: Request) -> Awaitable[Any]:
        return handler(request, service)

    return call


@dataclass
class Part:
    """What one part of the server offers, bound: collected by compose."""

    name: str
    events: tuple[BoundEvent, ...] = ()
    routes: tuple[BoundRoute, ...] = field(default=())
