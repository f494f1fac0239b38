"""STUN requests of a peer: sent again until they are answered."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

from media.peer.carriers import Carrier
from media.peer.steps import Failed, Step
from media.wire.stun import ERROR, SUCCESS, Message

FIRST_S = 0.1
LONGEST_S = 0.5
"""Between copies, doubling. RFC 8489 asks for 0.5 s first, ICE for 50 ms (RFC 8445, 14.3)."""
ANSWER_S = 2.5


class Requests:
    """Those of one carrier. `answered` is to be told what arrives."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self._waiting: dict[bytes, asyncio.Future[Message]] = {}

    async def ask(
        self, step: Step, made: Callable[[bytes], bytes], *, again: bool | None = None
    ) -> Message:
        """The answer, success or error, to the request that `made` builds for a transaction.

        `again`: whether copies are sent; by default where packets may be lost.
        Raises Failed, naming `step`, when there is none.
        """
        transaction = secrets.token_bytes(12)
        request = made(transaction)
        answer = self._waiting[transaction] = asyncio.get_running_loop().create_future()
        copies = not self._carrier.is_reliable if again is None else again
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._sent(request, answer, copies=copies)
        except TimeoutError as error:
            raise Failed(step, self._carrier.trouble) from error
        finally:
            del self._waiting[transaction]

    def answered(self, message: Message) -> bool:
        """Whether somebody waits for it."""
        answer = self._waiting.get(message.transaction)
        if answer is None or message.kind not in (SUCCESS, ERROR):
            return False
        if not answer.done():
            answer.set_result(message)
        return True

    async def _sent(
        self, request: bytes, answer: asyncio.Future[Message], *, copies: bool
    ) -> Message:
        pause = FIRST_S
        while True:
            self._carrier.send(request)
            await asyncio.wait((answer,), timeout=pause if copies else None)
            if answer.done():
                return answer.result()
            pause = min(pause * 2, LONGEST_S)
