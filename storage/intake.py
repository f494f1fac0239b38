"""What an append is given, up to the file's size."""

from __future__ import annotations

from collections.abc import AsyncIterator

from storage.api import PastSize


class Intake:
    """`room`: how many bytes may still come; more is PastSize.

    When an exception leaves a loop over it, `giving` tells whose it is: True, the giver's (his
    line broke, his checksum is wrong, he gave too much), and what came before is good; False, it
    is that of whoever takes.
    """

    def __init__(self, chunks: AsyncIterator[bytes], room: int) -> None:
        self._chunks = chunks
        self._room = room
        self.giving = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._chunks:
            if len(chunk) > self._room:
                raise PastSize()
            self._room -= len(chunk)
            self.giving = False
            yield chunk
            self.giving = True
