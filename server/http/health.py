"""Liveness and readiness: is the process there, and can each of its parts serve."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from server.kernel import json
from server.kernel.errors import AppError
from server.kernel.tasks import TaskOwner

Check = Callable[[], Awaitable[object]]
"""Returns (anything) when the part can serve; raises AppError with a text for the operator."""

CHECK_S = 2.0
"""A part that does not answer in that time is not ready; load balancers ask every 2-10 s."""


class Health:
    """Runs the named checks side by side, each within the time limit."""

    def __init__(self, checks: Mapping[str, Check], *, time_limit_s: float = CHECK_S) -> None:
        self._checks = checks
        self._time_limit_s = time_limit_s
        self._tasks = TaskOwner("health")

    async def live(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n", headers={"Cache-Control": "no-store"})

    async def ready(self, request: web.Request) -> web.Response:
        """`{ready, parts: {name: {ok, detail?}}}`, 503 when a part is not."""
        tasks = {name: self._tasks.start(_run(check), name) for name, check in self._checks.items()}
        if tasks:
            await asyncio.wait(tasks.values(), timeout=self._time_limit_s)
        parts = {name: _outcome(task) for name, task in tasks.items()}
        ready = all(part["ok"] for part in parts.values())
        return web.Response(
            body=json.encode({"ready": ready, "parts": parts}),
            status=200 if ready else 503,
            headers={"Cache-Control": "no-store"},
            content_type="application/json",
        )


async def _run(check: Check) -> dict[str, object]:
    try:
        await check()
    except AppError as error:
        return {"ok": False, "detail": error.text}
    return {"ok": True}


def _outcome(task: asyncio.Task[dict[str, object]]) -> dict[str, object]:
    if not task.done():
        task.cancel()
        return {"ok": False, "detail": "It did not answer in time."}
    if task.exception() is not None:  # logged by the task's owner
        return {"ok": False, "detail": "The check itself failed; the log says why."}
    return task.result()
