"""Calls that block, in a pool of threads that has a bound and never stands in another's way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, ParamSpec, TypeVar

from server.kernel.errors import Unavailable

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Thing = TypeVar("_Thing")


class Threads:
    """A pool of its own: a store that hangs fills these threads, not the ones all share."""

    def __init__(self, name: str, count: int) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=name)

    async def run(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Cancelled, it stops waiting; work that has begun goes on to its end in its thread."""
        return await asyncio.wrap_future(self.start(work, *args, **kwargs))

    async def acquire(
        self, get: Callable[[], _Thing], release: Callable[[_Thing], object]
    ) -> Held[_Thing]:
        """What `get` opens. Nobody waiting any more, it is released as soon as it is there."""
        future = self.start(get)
        try:
            return Held(self, await asyncio.wrap_future(future), release)
        except BaseException:
            future.add_done_callback(lambda got: _give_back(got, release))
            raise

    def start(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        try:
            return self._pool.submit(work, *args, **kwargs)
        except RuntimeError:
            raise Unavailable("The store is closed.") from None

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


class Held(Generic[_Thing]):
    """Something that one call at a time works with (a descriptor, a response). It is released when
    the last of them is done, also when nobody waited for that any more: a number given back too
    early would be another file's.
    """

    def __init__(
        self, threads: Threads, thing: _Thing, release: Callable[[_Thing], object]
    ) -> None:
        self._threads = threads
        self._thing = thing
        self._release = release
        self._last: Future[Any] | None = None

    async def use(self, work: Callable[[_Thing], _T]) -> _T:
        future = self._threads.start(work, self._thing)
        self._last = future
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        thing, release = self._thing, self._release
        if self._last is None:
            release(thing)
        else:
            self._last.add_done_callback(lambda _: release(thing))


def _give_back(future: Future[_Thing], release: Callable[[_Thing], object]) -> None:
    if not future.cancelled() and future.exception() is None:
        release(future.result())
