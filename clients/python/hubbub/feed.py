"""Queues of what a client hears, one for each reader."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from types import TracebackType

from hubbub.models import Item


class Feed(AsyncIterator[Item]):
    """`async for item in feed`: everything from its making on, in order; ends with the client.

    It never drops. When `backlog` grows past the client's bound, the client stops taking room
    events from the line and fetches them once the reader has caught up.
    """

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self._news = asyncio.Event()
        self._closed = False

    @property
    def backlog(self) -> int:
        return len(self._items)

    @property
    def closed(self) -> bool:
        return self._closed

    def put(self, item: Item) -> None:
        self._items.append(item)
        self._news.set()

    def close(self) -> None:
        """What is queued can still be read."""
        self._closed = True
        self._news.set()

    def __aiter__(self) -> Feed:
        return self

    async def __anext__(self) -> Item:
        while not self._items:
            if self._closed:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._items.popleft()

    def __enter__(self) -> Feed:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()
