"""Threads that read beside the writer, each on a connection of its own, one hop for each call."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import apsw

from storage.sqlite.connection import CANNOT_SERVE, open_reader, unavailable
from storage.sqlite.writer import JOB_ERRORS, Writer

_T = TypeVar("_T")
_Read = tuple[Callable[[apsw.Connection], Any], asyncio.Future[Any]]

WAITING_READS = 10_000


class Readers:
    """`run` reads what is committed. With `count` 0 reads take their turn in the writer."""

    def __init__(self, path: Path, writer: Writer, count: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._path = path
        self._writer = writer
        self._queue: queue.SimpleQueue[_Read | None] = queue.SimpleQueue()
        self._ended = False
        self._threads = [
            threading.Thread(target=self._main, name=f"hubbub-reader-{i}", daemon=True)
            for i in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def run(self, read: Callable[[apsw.Connection], _T]) -> asyncio.Future[_T]:
        """Raises Unavailable when closed, or when too much waits."""
        if self._ended or self._queue.qsize() > WAITING_READS:
            raise unavailable()
        if not self._threads:
            return self._writer.submit(lambda tx: read(tx.connection))
        future: asyncio.Future[_T] = self._loop.create_future()
        self._queue.put((read, future))
        return future

    async def close(self) -> None:
        self._ended = True
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            await self._loop.run_in_executor(None, thread.join)

    def _main(self) -> None:
        connection: apsw.Connection | None = None
        while (item := self._queue.get()) is not None:
            read, future = item
            outcome: Any = None
            error: BaseException | None = None
            try:
                connection = connection or open_reader(self._path)
                outcome = read(connection)
            except CANNOT_SERVE:
                error = unavailable()
            except JOB_ERRORS as failure:
                error = failure
            try:
                self._loop.call_soon_threadsafe(_resolve, future, outcome, error)
            except RuntimeError:  # the loop is closed: nobody waits any more
                break
        if connection is not None:
            connection.close()


def _resolve(future: asyncio.Future[Any], outcome: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(outcome)
