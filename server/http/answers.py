"""One declared route as an aiohttp handler: check, read, call, encode; failures are answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from server.http.access import Access
from server.http.problems import NO_STORE, Refused, problem
from server.http.reading import QueryReader, path_values, read_body
from server.kernel import json
from server.kernel.clock import Clock
from server.kernel.config import Config
from server.kernel.errors import AppError, Internal, Invalid, NotFound
from server.kernel.events import BoundRoute, Reply, Request
from server.kernel.logs import get_logger

log = get_logger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
API_HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


class Dispatch:
    """Makes handlers of bound routes, and guards any handler with the same answers to failures."""

    def __init__(self, config: Config, access: Access, clock: Clock) -> None:
        self._config = config
        self._access = access
        self._clock = clock

    def handler(self, bound: BoundRoute) -> Handler:
        route = bound.route
        query = QueryReader(route.query)

        async def serve(request: web.Request) -> web.StreamResponse:
            peer = self._access.peer(request)
            ctx = await self._access.caller(request, peer) if route.login else None
            self._access.check_rate(ctx, peer, route.rate)
            path, asked = path_values(request), query.read(request)
            body = await self._body(request, bound)
            answer = await bound.handler(Request(ctx, path, asked, body, peer))
            return _respond(answer, route.status)

        return self.guarded(serve, route.path)

    def guarded(self, serve: Handler, name: str) -> Handler:
        """`serve` with refusals as problems, CORS and a DEBUG line; never a traceback outside."""

        async def answer(request: web.Request) -> web.StreamResponse:
            started = self._clock.monotonic()
            response = await _safely(serve, request, name)
            if not response.prepared:
                response.headers.update(self._access.cors(request))
                for header, value in API_HEADERS.items():
                    response.headers.setdefault(header, value)
            log.debug(
                "http.answered", method=request.method, route=name, status=response.status,
                ms=round((self._clock.monotonic() - started) * 1000, 3),
            )  # fmt: skip
            return response

        return answer

    def unmatched(self, request: web.Request, found: web.HTTPException) -> web.Response:
        """What no route serves: OPTIONS of a path that is there, another method, or nothing."""
        if isinstance(found, web.HTTPMethodNotAllowed):
            methods = ", ".join(sorted({*found.allowed_methods, "OPTIONS"}))
            if request.method == "OPTIONS":
                headers = {"Allow": methods, **self._access.preflight(request, methods)}
                return web.Response(status=204, headers=headers)
            error = NotFound(f"This path does not know that method. It knows: {methods}.")
            return problem(error, status=405, headers={"Allow": methods})
        return problem(NotFound("There is nothing at this path."))

    async def _body(self, request: web.Request, bound: BoundRoute) -> Any:
        shape = bound.route.body
        if shape is None:
            return None
        limits = self._config.limits
        return await read_body(
            request, shape, max_bytes=limits.packet_bytes, time_limit_s=limits.request_body_s
        )


async def _safely(serve: Handler, request: web.Request, name: str) -> web.StreamResponse:
    try:
        return await serve(request)
    except AppError as error:
        return problem(error)
    except Refused as refused:
        return problem(refused.error, status=refused.status, headers=refused.headers)
    except web.HTTPException as error:
        return problem(Invalid("The request cannot be served."), status=max(400, error.status))
    except asyncio.CancelledError:
        raise
    except Exception:
        log.exception("http.failed", method=request.method, route=name)
        return problem(Internal())


def _respond(answer: Any, status: int) -> web.Response:
    headers = dict(NO_STORE)
    if isinstance(answer, Reply):
        status, body = answer.status, answer.body
        headers.update(answer.headers)
    else:
        body = answer
    if body is None:
        return web.Response(status=status, headers=headers)
    encoded = json.encode(body)
    return web.Response(
        body=encoded, status=status, headers=headers, content_type="application/json"
    )
