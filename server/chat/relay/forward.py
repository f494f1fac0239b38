"""One writer for a contended room: where nodes have been duelling, the others hand their commands
to the node that a rendezvous hash names.

A hint for speed only. Two nodes that append to one room at once refuse each other, at the price of
a read and another append, and on Cassandra starve each other for seconds; but the condition on the
head alone keeps the order, and a command that is not answered is carried out where it came from,
once, by its client id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec

from server.chat.commands import Command
from server.chat.relay.carried import KINDS, kind_of
from server.kernel.clock import Clock
from server.kernel.config import Limits
from server.kernel.errors import CODES, AppError, Internal
from server.kernel.events import Context
from server.kernel.ids import NodeId, RoomId
from server.kernel.logs import get_logger
from storage.api import Fanout

DUELS = 4
WITHIN_S = 1.0
"""So many duels in such a time make a room contended. Two people who chat from two nodes collide
now and then: a refused append costs a read and another append, less than the way over Redis of
all their messages.
"""
CONTENDED_S = 1.0
"""A room stays with its one writer for so long after two nodes last had commands for it at once."""
AT_ONCE_S = 0.25
ANSWER_S = 1.5
"""After this long without an answer commands are carried out here."""
MAX_WAITING = 10_000

log = get_logger(__name__)


class Request(msgspec.Struct, frozen=True, array_like=True, tag="q"):
    """`after`: the request of the same node and room before it that was not answered yet, 0: none.
    Who did not hear that one must not carry out this one.
    """

    number: int
    node_id: str
    room_id: str
    kind: str
    by: Context
    cmd: msgspec.Raw
    after: int = 0


class Answer(msgspec.Struct, frozen=True, array_like=True, tag="a"):
    """`code` None: `answer`. `shared`: the room has commands of several nodes still."""

    number: int
    shared: bool
    code: str | None = None
    text: str = ""
    field: str | None = None
    retry_after_s: float | None = None
    data: dict[str, Any] | None = None
    answer: msgspec.Raw = msgspec.Raw(b"\xc0")


Frame = Request | Answer
_frames: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)


@dataclass(slots=True)
class Sent:
    room_id: RoomId
    command: Command
    kind: str
    give_up: float


@dataclass(slots=True)
class UnderWay:
    """How many commands of a room its writer was asked to carry out and did not answer yet."""

    writer: NodeId
    count: int = 0
    last: int = 0


@dataclass(slots=True)
class Contended:
    """`until`: while our commands go to its writer. `lately`: when each node last had one, where we
    are the writer. `asked`: the number of its last request.
    """

    until: float
    lately: dict[NodeId, float] = field(default_factory=dict)
    asked: dict[NodeId, int] = field(default_factory=dict)


class Forward:
    """See the module. `submit` carries a command out at this node, `busy` tells whether commands of
    the room wait here: what came before goes first.
    """

    def __init__(
        self,
        port: Fanout,
        node_id: NodeId,
        *,
        hubs: Callable[[], Collection[NodeId]],
        submit: Callable[[RoomId, Command], None],
        busy: Callable[[RoomId], bool],
        limits: Limits,
        clock: Clock,
    ) -> None:
        self._port = port
        self._node_id = node_id
        self._hubs = hubs
        self._submit = submit
        self._busy = busy
        self._limits = limits
        self._clock = clock
        self._number = 0
        self._sent: dict[int, Sent] = {}
        self._under_way: dict[RoomId, UnderWay] = {}
        self._contended: dict[RoomId, Contended] = {}
        self._duels: dict[RoomId, tuple[float, int]] = {}
        self.counts = {"duels": 0, "forwarded": 0, "carried": 0, "taken_back": 0}
        port.listen(self._heard, self._restored)

    async def start(self) -> None:
        await self._port.subscribe([self._node_id])

    def duelled(self, room_id: RoomId) -> None:
        """An append of ours was refused because another node was faster."""
        self.counts["duels"] += 1
        now = self._clock.monotonic()
        since, count = self._duels.get(room_id, (now, 0))
        if now - since > WITHIN_S:
            since, count = now, 0
        self._duels[room_id] = (since, count + 1)
        if count + 1 >= DUELS:
            del self._duels[room_id]
            found = self._contended.setdefault(room_id, Contended(now))
            found.until = now + CONTENDED_S

    def take(self, room_id: RoomId, command: Command, *, waited: bool = False) -> bool:
        """True: another node has been asked to carry it out. `waited`: it comes from the room's
        queue here, and nothing is before it.
        """
        if self._hand_over(room_id, command, waited=waited):
            return True
        if room_id in self._under_way:  # what was handed over before must not be overtaken
            self._take_back(room_id)
        return False

    def tick(self) -> None:
        """Carry out here what was not answered, with all that was sent after it in its room."""
        if not self._sent and not self._contended and not self._duels:
            return
        now = self._clock.monotonic()
        self._duels = {r: duel for r, duel in self._duels.items() if now - duel[0] <= WITHIN_S}
        late = {sent.room_id for sent in self._sent.values() if sent.give_up <= now}
        for room_id in late:
            self._take_back(room_id)
        for room_id in [r for r, one in self._contended.items() if one.until <= now]:
            lately = self._contended[room_id].lately
            for node_id in [n for n, at in lately.items() if at + CONTENDED_S <= now]:
                del lately[node_id]
                self._contended[room_id].asked.pop(node_id, None)
            if not lately:
                del self._contended[room_id]

    # ---- inside ----------------------------------------------------------------------------------

    def _hand_over(self, room_id: RoomId, command: Command, *, waited: bool) -> bool:
        found, under_way = self._contended.get(room_id), self._under_way.get(room_id)
        if found is None and under_way is None:
            return False
        now = self._clock.monotonic()
        if found is not None and found.lately:
            found.lately[self._node_id] = now
        wanted = under_way is not None or (found is not None and found.until > now)
        kind = kind_of(command) if wanted else None
        if kind is None or len(self._sent) >= MAX_WAITING or not self._port.connected:
            return False
        # While some are under way, what waits here is of other nodes: nothing to be overtaken.
        if not waited and under_way is None and self._busy(room_id):
            return False
        writer = writer_of(room_id, self._hubs())
        if writer is None or writer == self._node_id:
            return False
        if under_way is None:
            under_way = self._under_way[room_id] = UnderWay(writer)
        elif under_way.writer != writer:
            return False
        under_way.count += 1
        self.counts["forwarded"] += 1
        self._number += 1
        self._sent[self._number] = Sent(room_id, command, kind, now + ANSWER_S)
        raw = msgspec.Raw(msgspec.msgpack.encode(KINDS[kind].parcel(command)))
        request = Request(
            self._number, self._node_id, room_id, kind, command.by, raw, under_way.last
        )
        under_way.last = self._number
        self._port.publish(writer, msgspec.msgpack.encode(request))
        return True

    def _take_back(self, room_id: RoomId) -> None:
        log.warning("room.taken_back", room_id=room_id)
        self.counts["taken_back"] += 1
        self._contended.pop(room_id, None)
        self._under_way.pop(room_id, None)
        for number in [n for n, sent in self._sent.items() if sent.room_id == room_id]:
            self._submit(room_id, self._sent.pop(number).command)

    def _restored(self) -> None:
        """Requests or answers were lost, nobody knows which."""
        for room_id in {sent.room_id for sent in self._sent.values()}:
            self._take_back(room_id)

    def _heard(self, channel: str, data: bytes) -> None:
        try:
            frame = _frames.decode(data)
        except msgspec.DecodeError:
            log.warning("frame.unknown", channel=channel)
            return
        if isinstance(frame, Answer):
            self._answered(frame)
        else:
            self._asked(frame)

    def _asked(self, request: Request) -> None:
        room_id, kind = RoomId(request.room_id), KINDS.get(request.kind)
        if kind is None:
            return  # of a newer node: it will do it itself
        try:
            cmd = msgspec.msgpack.decode(request.cmd, type=kind.shape)
        except msgspec.DecodeError:
            log.warning("frame.unknown", room_id=room_id)
            return
        now, node_id = self._clock.monotonic(), NodeId(request.node_id)
        found = self._contended.setdefault(room_id, Contended(now))
        found.lately[node_id] = now
        if request.after and found.asked.get(node_id) != request.after:
            log.warning("room.request_missed", room_id=room_id)
            return  # he takes all of them back
        found.asked[node_id] = request.number
        command = kind.make(request.by, cmd, self._limits)
        self.counts["carried"] += 1
        command.future.add_done_callback(partial(self._reply, request))
        self._submit(room_id, command)

    def _reply(self, request: Request, done: Any) -> None:
        shared = self._is_shared(RoomId(request.room_id))
        error = None if done.cancelled() else done.exception()
        if done.cancelled() or (error is not None and not isinstance(error, AppError)):
            error = Internal()
        if error is not None:
            answer = Answer(
                request.number, shared, error.code, error.text, error.field, error.retry_after_s,
                None if error.data is None else dict(error.data),
            )  # fmt: skip
        else:
            raw = msgspec.Raw(msgspec.msgpack.encode(done.result()))
            answer = Answer(request.number, shared, answer=raw)
        self._port.publish(request.node_id, msgspec.msgpack.encode(answer))

    def _is_shared(self, room_id: RoomId) -> bool:
        """Whether two nodes or more have had commands for the room lately, this one counted."""
        found = self._contended.get(room_id)
        after = self._clock.monotonic() - AT_ONCE_S
        return found is not None and sum(at > after for at in found.lately.values()) > 1

    def _answered(self, answer: Answer) -> None:
        sent = self._sent.pop(answer.number, None)
        if sent is None:
            return
        under_way = self._under_way[sent.room_id]
        under_way.count -= 1
        if not under_way.count:
            del self._under_way[sent.room_id]
        found = self._contended.get(sent.room_id)
        if found is not None and answer.shared:
            found.until = self._clock.monotonic() + CONTENDED_S
        if answer.code is not None:
            refused = CODES.get(answer.code, Internal)
            sent.command.fail(_error(refused, answer))
            return
        kind = KINDS[sent.kind]
        sent.command.succeed(msgspec.msgpack.decode(answer.answer, type=kind.answer))


def _error(kind: type[AppError], answer: Answer) -> AppError:
    if kind is Internal:
        return Internal()
    return kind(
        answer.text, field=answer.field, retry_after_s=answer.retry_after_s, data=answer.data
    )


def writer_of(room_id: RoomId, nodes: Collection[NodeId]) -> NodeId | None:
    """The node with the highest hash of room and node: few rooms move when nodes come and go.

    Source: Thaler, Ravishankar, "Using Name-Based Mappings to Increase Hit Rates" (1998).
    """

    def weight(node_id: NodeId) -> bytes:
        return hashlib.blake2b(f"{node_id}\0{room_id}".encode(), digest_size=8).digest()

    return max(nodes, key=weight, default=None)
