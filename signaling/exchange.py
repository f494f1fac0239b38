"""The calls that this process carries: the core, and what is done with its outputs."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Mapping

from media.api import PacketPlane
from server.kernel.clock import Clock
from server.kernel.logs import get_logger
from signaling.call import Call
from signaling.delivery import Delivery
from signaling.inputs import Input, Moment, Recall, Tick
from signaling.keeping import Keeping
from signaling.outputs import (
    Answered,
    Carried,
    Commanded,
    Ended,
    Noted,
    Offered,
    Output,
    Refused,
    Rung,
    Saved,
    Told,
)
from signaling.ports import EndedCalls
from signaling.switchboard import Switchboard

log = get_logger(__name__)


class Exchange:
    """Outputs are done in their order, after the answer and before the next: so a socket hears
    what was before its command, its answer, and what came of it, in this order.
    """

    def __init__(
        self,
        core: Switchboard,
        *,
        clock: Clock,
        delivery: Delivery,
        keeping: Keeping,
        ends: EndedCalls,
        plane: PacketPlane | None,
        offer: Callable[[Offered], None],
    ) -> None:
        """`offer`: looks whose members a socket that came up is of."""
        self.core = core
        self.keeping = keeping
        self._ends = ends
        self._clock = clock
        self._delivery = delivery
        self._plane = plane
        self._offer = offer
        self._waiting: deque[Output] = deque()
        self._refused: Counter[str] = Counter()
        self._ended: Counter[str] = Counter()

    def handle(self, event: Input) -> Answered:
        """Raises AppError: the core refuses."""
        self._do()
        now = Moment(self._clock.monotonic(), self._clock.now_ms())
        answer: Answered | Refused = Answered()
        for output in self.core.handle(event, now):
            if isinstance(output, Answered | Refused):
                answer = output
            else:
                self._waiting.append(output)
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._do)
        if isinstance(answer, Refused):
            self._refused[answer.why] += 1
            raise answer.error
        return answer

    async def recall(self, call_id: str) -> Call | None:
        """For a call that nobody carries: if it is over, it is known here again for a while. Raises
        Unavailable.
        """
        record = await self._ends.find(call_id)
        if record is not None:
            self.handle(Recall(record))
        return self.core.call(call_id)

    def tick(self) -> None:
        due = self.core.next_deadline()
        if due is not None and due <= self._clock.monotonic():
            self.handle(Tick())

    def snapshot(self) -> Mapping[str, object]:
        """For /metrics."""
        return {
            "calls_running": len(self.core),
            "calls_unsaved": len(self.keeping),
            "calls_ended_total": {"label": "reason", "values": dict(self._ended)},
            "calls_refused_total": {"label": "why", "values": dict(self._refused)},
        }

    def _do(self) -> None:
        while self._waiting:
            match self._waiting.popleft():
                case Rung() as rung:
                    self._delivery.ring(rung)
                case Told() as told:
                    self._delivery.tell(told)
                case Offered() as offered:
                    self._offer(offered)
                case Carried() as carried:
                    self._delivery.carry(carried)
                case Saved(call):
                    self.keeping.save(call)
                case Ended(record):
                    self.keeping.ended(record)
                case Commanded(command):
                    if self._plane is not None:
                        self._plane.command(command)
                case Noted() as noted:
                    self._note(noted)

    def _note(self, noted: Noted) -> None:
        if noted.what == "call.ended":
            self._ended[noted.why] += 1
            log.info("call.ended", call_id=noted.call_id, why=noted.why)
            return
        log.debug(
            "call.decided", what=noted.what, why=noted.why, call_id=noted.call_id,
            user_id=noted.user_id,
        )  # fmt: skip
