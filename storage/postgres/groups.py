"""Appends of many rooms in one round trip and one transaction.

A group is what was submitted while those before it were in flight; there is no timer. A few groups
are in flight at once, never two with the same room, so appends of one room keep their order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import msgspec

from server.kernel.errors import Unavailable
from server.kernel.ids import RoomId, Seq, UserId
from server.kernel.tasks import TaskOwner
from storage.api import Batch, Claim, Refused
from storage.postgres.connections import Connections
from storage.postgres.rows import EVENT_TYPES, GONE_NUMBER, claim_of, event_values

IN_FLIGHT = 3
"""Groups at once: while one waits for the disk another is written and a third is gathered."""
MAX_EVENTS = 500
MAX_BYTES = 1_048_576
"""A group is at most this much, or one batch: it holds its rooms for a few milliseconds."""
MAX_WAITING_BYTES = 67_108_864
MAX_WAITING = 20_000
"""Beyond either, appends are refused: the database is slower than those who write."""

BATCH_TYPES = ("text", "bigint", "bigint", "bigint")
CLAIM_TYPES = ("int", "text", "text", "bigint", "bytea", "bigint")
BLANK_TYPES = ("int", "bigint", "smallint")
_TYPES = (*BATCH_TYPES, *EVENT_TYPES, *CLAIM_TYPES, *BLANK_TYPES)
APPEND = "SELECT * FROM append_v1({})".format(
    ", ".join(
        f"${i}" if kind == "bytea" else f"${i}::text::{kind}[]" for i, kind in enumerate(_TYPES, 1)
    )
)
"""Arrays go as text, which the server reads: the driver takes 0.5 us for each element of one."""
NO_LOG = -1

_Outcome = Refused | LookupError | None


@dataclass(slots=True)
class Waiting:
    batch: Batch
    size: int
    done: asyncio.Future[Refused | None]


class Groups:
    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._tasks = TaskOwner("postgres.appends")
        self._ready: deque[RoomId] = deque()
        """Rooms with something to append and nothing in flight, in the order they came."""
        self._queues: dict[RoomId, deque[Waiting]] = {}
        """Of the rooms that are ready or in flight; there an empty one too."""
        self._count = self._bytes = self._in_flight = 0
        self._due = False
        self._drained: asyncio.Future[None] | None = None
        """Made when closing begins, and done when nothing is left."""

    def submit(self, batch: Batch) -> asyncio.Future[Refused | None]:
        if self._drained is not None:
            raise Unavailable("The store is closed.", retry_after_s=1.0)
        size = sum(memoryview(e.content).nbytes for e in batch.events if e.content)
        if self._count >= MAX_WAITING or self._bytes + size > MAX_WAITING_BYTES:
            raise Unavailable("The database is overloaded. Try again later.", retry_after_s=1.0)
        loop = asyncio.get_running_loop()
        waiting = Waiting(batch, size, loop.create_future())
        self._count += 1
        self._bytes += size
        queue = self._queues.get(batch.room_id)
        if queue is None:
            self._queues[batch.room_id] = deque((waiting,))
            self._ready.append(batch.room_id)
            self._start_soon(loop)
        else:
            queue.append(waiting)
        return waiting.done

    async def close(self) -> None:
        """Take no more, and wait for what is here; each append has its time limit."""
        self._drained = asyncio.get_running_loop().create_future()
        if self._queues:
            await self._drained
        await self._tasks.close()

    # ---- groups ----------------------------------------------------------------------------------

    def _start_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        """At the end of the turn, when all that is submitted in it is here."""
        if not self._due and self._in_flight < IN_FLIGHT:
            self._due = True
            loop.call_soon(self._start)

    def _start(self) -> None:
        self._due = False
        while self._ready and self._in_flight < IN_FLIGHT:
            self._in_flight += 1
            self._tasks.start(self._run(self._gather()), "group")

    def _gather(self) -> list[Waiting]:
        """The first of each room that is ready. Its queue stays: the room is in flight."""
        group: list[Waiting] = []
        events = size = 0
        while self._ready:
            waiting = self._queues[self._ready[0]][0]
            events += len(waiting.batch.events)
            size += waiting.size
            if group and (events > MAX_EVENTS or size > MAX_BYTES):
                break
            self._ready.popleft()
            group.append(waiting)
        group.sort(key=lambda waiting: waiting.batch.room_id)
        return group

    async def _run(self, group: list[Waiting]) -> None:
        try:
            await self._append(group)
        except (asyncpg.PostgresError, ValueError) as mistake:
            # Nothing of it was stored. One batch is to blame, and not those beside it.
            if len(group) == 1:
                _fail(group, mistake)
            else:
                await self._one_by_one(group)
        except Unavailable as fault:
            # All of a group share its fate; whether it was stored is for a read to find out.
            _fail(group, fault)
        except BaseException:
            _fail(group, Unavailable("The store was closed under way.", retry_after_s=1.0))
            raise
        finally:
            self._finish(group)

    async def _append(self, group: Sequence[Waiting]) -> None:
        rows = await self._connections.fetch(APPEND, *_parameters(group))
        outcomes = _outcomes(rows) if rows else {}
        for i, waiting in enumerate(group, 1):
            _settle(waiting.done, outcomes.get(i))

    async def _one_by_one(self, group: Sequence[Waiting]) -> None:
        for waiting in group:
            try:
                await self._append([waiting])
            except (asyncpg.PostgresError, ValueError, Unavailable) as error:
                _fail([waiting], error)

    def _finish(self, group: list[Waiting]) -> None:
        self._in_flight -= 1
        for waiting in group:
            self._count -= 1
            self._bytes -= waiting.size
            room_id = waiting.batch.room_id
            queue = self._queues[room_id]
            queue.popleft()
            if queue:
                self._ready.append(room_id)
            else:
                del self._queues[room_id]
        if self._ready:
            self._start_soon(asyncio.get_running_loop())
        elif self._drained is not None and not self._queues and not self._drained.done():
            self._drained.set_result(None)


def _fail(group: Sequence[Waiting], error: Exception) -> None:
    for waiting in group:
        if not waiting.done.done():
            waiting.done.set_exception(error)


def _settle(done: asyncio.Future[Refused | None], outcome: _Outcome) -> None:
    if done.done():
        return
    if isinstance(outcome, LookupError):
        done.set_exception(outcome)
    else:
        done.set_result(outcome)


def _parameters(group: Sequence[Waiting]) -> list[Sequence[Any]]:
    rooms: list[tuple[Any, ...]] = []
    events: list[tuple[Any, ...]] = []
    claims: list[tuple[Any, ...]] = []
    blanks: list[tuple[Any, ...]] = []
    for i, waiting in enumerate(group, 1):
        batch = waiting.batch
        n = batch.events[-1].n if batch.events else None
        rooms.append((batch.room_id, batch.if_head, batch.if_head + len(batch.events), n))
        digests, others = _split(batch)
        events += [event_values(i, event, digests.get(event.seq)) for event in batch.events]
        claims += [(i, c.client_id, c.sender_id, c.seq, c.digest, c.at) for c in others]
        blanks += [(i, seq, GONE_NUMBER[gone]) for seq, gone in batch.blanks]
    columns = (
        *_columns(rooms, len(BATCH_TYPES)),
        *_columns(events, len(EVENT_TYPES)),
        *_columns(claims, len(CLAIM_TYPES)),
        *_columns(blanks, len(BLANK_TYPES)),
    )
    return [
        column if kind == "bytea" else _texts(column) if kind == "text" else _numbers(column)
        for column, kind in zip(columns, _TYPES, strict=True)
    ]


def _split(batch: Batch) -> tuple[dict[Seq, bytes], list[Claim]]:
    """The digests of claims that say nothing else than their event does, and the other claims."""
    digests: dict[Seq, bytes] = {}
    others = []
    first, count = batch.if_head + 1, len(batch.events)
    for claim in batch.claims:
        at = claim.seq - first
        event = batch.events[at] if 0 <= at < count else None
        if (
            event is not None
            and event.client_id == claim.client_id
            and event.sender_id == claim.sender_id
            and event.at == claim.at
            and claim.seq not in digests
        ):
            digests[claim.seq] = claim.digest
        else:
            others.append(claim)
    return digests, others


def _columns(rows: list[tuple[Any, ...]], width: int) -> list[Sequence[Any]]:
    """A column of nulls is left empty."""
    if not rows:
        return [()] * width
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
    return [
        () if column[0] is None and column.count(None) == len(column) else column
        for column in columns
    ]


def _numbers(column: Sequence[int | None]) -> str:
    return "{" + ",".join(map(str, column)).replace("None", "NULL") + "}"


def _texts(column: Sequence[str | None]) -> str:
    """As JSON, but that there a backslash is always before what it stands for."""
    written = msgspec.json.encode(column).decode()
    if "\\" in written:
        written = ",".join(map(_quoted, column))
        return f"{{{written}}}"
    return f"{{{written[1:-1]}}}"


def _quoted(text: str | None) -> str:
    if text is None:
        return "NULL"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _outcomes(rows: Sequence[Any]) -> Mapping[int, _Outcome]:
    """What `append_v1` tells of the batches it refused."""
    heads: dict[int, int] = {}
    taken: dict[int, dict[tuple[UserId, str], Claim]] = {}
    for batch, head, *claim in rows:
        heads[batch] = head
        if claim[0] is not None:
            found = claim_of(claim)
            taken.setdefault(batch, {})[found.sender_id, found.client_id] = found
    return {
        i: LookupError("the room has no log")
        if head == NO_LOG
        else Refused(Seq(head), taken.get(i, {}))
        for i, head in heads.items()
    }
