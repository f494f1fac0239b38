"""What goes into the core of presence and what comes out of it.

Times are monotonic seconds, except those in `_ms` and `last_seen_at` (ms since the Unix epoch).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from server.kernel.ids import DeviceId, NodeId, SocketId, UserId
from storage.api import NodePresence, PresenceRow

Status = Literal["online", "away", "busy", "invisible", "offline"]
Level = Literal["online", "away"]
"""A user's devices at one node, summed up; without devices: None."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A socket. `row`: the user's settings as stored (they count only if he is not known yet)."""

    user_id: UserId
    device_id: DeviceId
    socket_id: SocketId
    row: PresenceRow


@dataclass(frozen=True, slots=True)
class Active:
    user_id: UserId
    socket_id: SocketId


@dataclass(frozen=True, slots=True)
class Closed:
    user_id: UserId
    socket_id: SocketId
    at_ms: int


@dataclass(frozen=True, slots=True)
class Set:
    user_id: UserId
    row: PresenceRow


@dataclass(frozen=True, slots=True)
class Tick:
    """A deadline passed."""


@dataclass(frozen=True, slots=True)
class Read:
    """All that nodes said of the user, read from when on (`began`). `whole`: a node that is not in
    it has none of his devices.
    """

    user_id: UserId
    said: Mapping[NodeId, NodePresence]
    began: float
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Watched:
    """In a cluster: somebody here watches him. `row` as with `Opened`, `read` as what nodes say."""

    user_id: UserId
    row: PresenceRow
    read: Read


@dataclass(frozen=True, slots=True)
class Unwatched:
    user_id: UserId


@dataclass(frozen=True, slots=True)
class Heard:
    """Another node says this of its devices of the user. `at_ms`: the newest word counts."""

    user_id: UserId
    node_id: NodeId
    at_ms: int
    level: Level | None
    last_seen_at: int | None = None


@dataclass(frozen=True, slots=True)
class Died:
    """Nodes, with all the devices they had; nobody waits for these to come back."""

    node_ids: frozenset[NodeId]


Input = Opened | Active | Closed | Set | Tick | Watched | Unwatched | Heard | Read | Died


@dataclass(frozen=True, slots=True)
class Shown:
    """What others see."""

    status: Status
    text: str | None = None
    last_seen_at: int | None = None


@dataclass(frozen=True, slots=True)
class Tell:
    user_id: UserId
    shown: Shown


@dataclass(frozen=True, slots=True)
class Keep:
    """Store this: the user went, and of all nodes it is ours to remember when."""

    row: PresenceRow


@dataclass(frozen=True, slots=True)
class Say:
    """Other nodes are to know it of our devices of the user."""

    user_id: UserId
    level: Level | None
    last_seen_at: int | None = None


@dataclass(frozen=True, slots=True)
class Dropped:
    """In a cluster: this node needs to hear of him no more."""

    user_id: UserId


Output = Tell | Keep | Say | Dropped
