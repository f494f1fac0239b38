"""A shape's seams together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Protocol

from server.kernel.ids import NodeId, RoomId, Seq
from storage.api.accounts import Accounts
from storage.api.calls import OpenCalls
from storage.api.log import RoomLog
from storage.api.projections import Projections
from storage.api.quality import CallQuality

Check = Callable[[], Awaitable[None]]
"""Raises Unavailable, with a text for the operator, while the part cannot serve."""


class DirtyRooms(Protocol):
    """Rooms in which a node has appended lately, so that no tail of a log goes unheard.

    A node marks a room before it appends, and clears it only a while after everybody could hear
    all of it. What a node that died leaves here, another takes over and tells again.
    """

    async def mark(self, node_id: NodeId, rooms: Mapping[RoomId, Seq]) -> None:
        """Each room with the seq up to which everything was told. Of a room that is marked
        already, the smaller seq stays.
        """
        ...

    async def clear(self, node_id: NodeId, room_ids: Collection[RoomId]) -> None: ...

    async def nodes(self) -> list[NodeId]:
        """Those who have marks, ordered."""
        ...

    async def take_over(self, dead: NodeId, by: NodeId, limit: int = 1000) -> dict[RoomId, Seq]:
        """Move up to `limit` marks from one node to another and return them. Of several who take
        over at once each gets marks of its own.
        """
        ...

    async def rooms(self) -> set[RoomId]:
        """All that are marked, by whatever node."""
        ...


class Store(Protocol):
    """Log, projections, accounts and calls, opened and closed as one."""

    @property
    def log(self) -> RoomLog: ...

    @property
    def projections(self) -> Projections: ...

    @property
    def accounts(self) -> Accounts: ...

    @property
    def calls(self) -> OpenCalls: ...

    @property
    def call_quality(self) -> CallQuality: ...

    @property
    def joint(self) -> bool:
        """True: an `apply` called in the same loop turn after an `append` is one transaction with
        it. False: `apply` may only be called once the append is known to be stored.
        """
        ...

    @property
    def dirty(self) -> DirtyRooms | None:
        """None: only one process ever has the store."""
        ...

    @property
    def checks(self) -> Mapping[str, Check]:
        """For `/readyz`: each server behind the store by its name; a check writes where it can."""
        ...

    async def close(self) -> None: ...
