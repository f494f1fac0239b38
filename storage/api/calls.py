"""Calls that have not ended, or whose end is not in their room's log yet: what a call needs to
outlive the process that carries it. Small rows, gone when the end is written.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from server.kernel.ids import NodeId, RoomId


class CallRow(msgspec.Struct, frozen=True):
    """`owner`: the node that carries it. `running` False: only its end is to be written. `state`:
    JSON of whoever keeps it, at most some 100 KiB.
    """

    id: str
    room_id: RoomId
    owner: NodeId
    running: bool
    state: str


class OpenCalls(Protocol):
    """At most one running call in a room."""

    async def claim(self, row: CallRow) -> CallRow:
        """Insert, unless another running call has the room, or the id is there: that row then."""
        ...

    async def put(self, row: CallRow) -> bool:
        """Replace `running` and `state` of a call that `row.owner` carries. False: he does not."""
        ...

    async def take_over(self, call_id: str, dead: NodeId, by: NodeId) -> CallRow | None:
        """Change the owner. None: it was not `dead` any more, another was faster."""
        ...

    async def drop(self, call_id: str) -> None: ...

    async def get(self, call_id: str) -> CallRow | None: ...

    async def in_room(self, room_id: RoomId) -> CallRow | None:
        """The running one."""
        ...

    async def all(self) -> list[CallRow]:
        """By id."""
        ...
