"""Tasks with a name, an owner that cancels them, and a reaction to their crash."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from server.kernel.logs import get_logger

log = get_logger(__name__)


class TaskOwner:
    """Starts tasks and ends all of them: `close` cancels and waits. A crash is logged and
    reported.
    """

    def __init__(
        self, name: str, *, on_crash: Callable[[str, BaseException], None] | None = None
    ) -> None:
        self.name = name
        self._tasks: set[asyncio.Task[Any]] = set()
        self._on_crash = on_crash

    def start(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work, name=f"{self.name}.{name}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def __len__(self) -> int:
        return len(self._tasks)

    async def close(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or task.exception() is None:
            return
        crash = task.exception()
        assert crash is not None
        log.error("task.crashed", task=task.get_name(), exc_info=crash)
        if self._on_crash is not None:
            self._on_crash(task.get_name(), crash)
