"""What a process of each role serves; other paths are told where to go."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web
from aiohttp.typedefs import Middleware

from server.http.answers import Handler
from server.http.problems import problem
from server.kernel.config import Role
from server.kernel.errors import NotFound

SOCKETS, API, HEALTH = "sockets", "the HTTP API and the page", "health"

SERVES: dict[Role, frozenset[str]] = {
    "all": frozenset({SOCKETS, API, HEALTH}),
    "hub": frozenset({SOCKETS, HEALTH}),
    "api": frozenset({API, HEALTH}),
    "media": frozenset({HEALTH}),
    "worker": frozenset({HEALTH}),
}
NEEDED = {SOCKETS: "hub", API: "api"}
HEALTH_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
SOCKET_PATH = "/socket.io"


def part_of(path: str) -> str:
    if path in HEALTH_PATHS:
        return HEALTH
    return SOCKETS if path.rstrip("/") == SOCKET_PATH else API


def check_served(roles: Sequence[Role], path: str) -> None:
    """Raises NotFound, with the role that would serve the path."""
    part = part_of(path)
    if not any(part in SERVES[role] for role in roles):
        raise NotFound(
            f"This process does not serve {part} (role {', '.join(roles)}): "
            f"ask one with the role {NEEDED[part]}."
        )


def only_for(roles: Sequence[Role]) -> Middleware:
    """Answers 404 for what the roles do not serve."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            check_served(roles, request.path)
        except NotFound as refusal:
            return problem(refusal)
        return await handler(request)

    return middleware
