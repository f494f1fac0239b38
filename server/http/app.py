"""Puts the HTTP side together: `make_app` is all that compose needs."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Middleware

from server.http.access import Access, Authenticate
from server.http.answers import Dispatch, Handler
from server.http.health import Check, Health
from server.http.metrics import Metrics, MetricSource
from server.http.openapi import describe
from server.http.pages import Pages
from server.http.problems import problem
from server.http.roles import only_for
from server.kernel import json
from server.kernel.clock import Clock, System
from server.kernel.config import Config
from server.kernel.errors import NotFound
from server.kernel.events import BoundRoute


class _NoAddress(logging.Filter):
    """aiohttp names the peer's address in its own lines about broken requests: not here."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = "http.broken", ()
        return True


def _quiet_logger() -> logging.Logger:
    logger = logging.getLogger("http.raw")
    if not logger.filters:
        logger.addFilter(_NoAddress())
    return logger


LAST_S = 1.0
"""For handlers that are still there once `underway` has waited for them."""

LINGER_S = 0.5
"""How long the rest of a refused body is read and thrown away."""


def runner_options(config: Config) -> dict[str, Any]:
    """What `aiohttp.web.AppRunner` needs besides the application: no access log, no addresses in
    logs, the configured bound of request heads.
    """
    return {
        "access_log": None,
        "logger": _quiet_logger(),
        "max_line_size": config.limits.head_bytes,
        "max_field_size": config.limits.head_bytes,
        # Also what bounds a half-sent head on a connection kept alive: aiohttp waits an hour.
        "keepalive_timeout": config.limits.request_head_s,
        "lingering_time": LINGER_S,
        "shutdown_timeout": LAST_S,
    }


OPENAPI_PATH = "/api/v1/openapi.json"


def make_app(
    config: Config,
    routes: Sequence[BoundRoute],
    *,
    authenticate: Authenticate,
    checks: Mapping[str, Check] | None = None,
    metrics: Sequence[MetricSource] = (),
    web_root: Path | None = None,
    clock: Clock | None = None,
) -> web.Application:
    """An aiohttp application that serves the routes, the page, health and metrics.

    Run it with `AppRunner(app, **runner_options(config))`: the log lines of requests are this
    package's own, and carry no address. Routes that others add to the application (Engine.IO) are
    left alone.

    Args:
        authenticate: a token's Context, at once or awaitable; raises Unauthorized.
        checks: parts for /readyz; a check raises AppError when its part cannot serve.
        metrics: sources of numbers for /metrics.
        web_root: the built web page, with index.html; None or missing: a page that says so.
    """
    clock = clock or System()
    access = Access(config, authenticate, clock)
    dispatch = Dispatch(config, access, clock)
    numbers = Metrics(metrics)
    app = web.Application(
        middlewares=[only_for(config.cluster.roles), _unmatched(dispatch, Pages(web_root))],
        client_max_size=config.limits.max_payload_bytes,
    )
    for bound in routes:
        _add(app, bound.route.method, bound.route.path, dispatch.handler(bound))
    _add(app, "GET", OPENAPI_PATH, dispatch.guarded(_document(routes), OPENAPI_PATH))
    health = Health(checks or {})
    _add(app, "GET", "/healthz", dispatch.guarded(health.live, "/healthz"))
    _add(app, "GET", "/readyz", dispatch.guarded(health.ready, "/readyz"))
    _add(app, "GET", "/metrics", dispatch.guarded(_private(numbers, access), "/metrics"))
    app.cleanup_ctx.append(_measuring_lag(numbers))
    return app


def _add(app: web.Application, method: str, path: str, handler: Handler) -> None:
    app.router.add_route(method, path, handler)
    if method == "GET":
        app.router.add_route("HEAD", path, handler)


def _document(routes: Sequence[BoundRoute]) -> Handler:
    body = json.encode(describe(routes, version=_version()))

    async def serve(request: web.Request) -> web.Response:
        headers = {"Cache-Control": "no-cache"}
        return web.Response(body=body, headers=headers, content_type="application/json")

    return serve


def _private(numbers: Metrics, access: Access) -> Handler:
    async def serve(request: web.Request) -> web.Response:
        if not access.may_see_metrics(request):
            return problem(NotFound("There is nothing at this path."))
        return await numbers.serve(request)

    return serve


def _measuring_lag(numbers: Metrics) -> Callable[[web.Application], AsyncIterator[None]]:
    async def measure(app: web.Application) -> AsyncIterator[None]:
        numbers.lag.start()
        yield
        numbers.lag.stop()

    return measure


def _unmatched(dispatch: Dispatch, pages: Pages) -> Middleware:
    """What no route serves: files of the page, its client routes, OPTIONS, 405 and 404."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        found = request.match_info.http_exception
        if found is None:
            return await handler(request)

        async def serve(request: web.Request) -> web.StreamResponse:
            return pages.serve(request) or dispatch.unmatched(request, found)

        return await dispatch.guarded(serve, "-")(request)

    return middleware


def _version() -> str:
    try:
        return version("hubbub")
    except PackageNotFoundError:
        return "0"
