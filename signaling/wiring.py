"""What compose takes from calls: the service with its events bound to it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from media.api import PacketPlane
from server.kernel.clock import Clock
from server.kernel.events import BoundEvent
from server.kernel.ids import Ids, NodeId
from server.kernel.logs import Secret
from server.kernel.outlet import Outlet
from server.kernel.tasks import TaskOwner
from signaling.handlers import events
from signaling.ports import CallLog, Rooms, UrlSource
from signaling.quality.ends import KeptEnds
from signaling.relay import CallRelay
from signaling.rules import CallLimits
from signaling.service import Calls
from signaling.tickets import SECRET_BYTES, SECRET_NAME, Tickets, Urls
from storage.api import Store

__all__ = ["FEATURE", "CallRelay", "CallsPart", "Urls", "build", "events"]

FEATURE = "calls"
"""What `GET /api/v1/server` announces."""


class CallsPart(Calls):
    """Calls with what the hub serves of them."""

    events: Sequence[BoundEvent] = ()


async def build(
    store: Store,
    *,
    rooms: Rooms,
    call_log: CallLog,
    outlet: Outlet,
    urls: UrlSource,
    clock: Clock,
    ids: Ids,
    tasks: TaskOwner,
    limits: CallLimits | None = None,
    plane: PacketPlane | None = None,
    node_id: NodeId = NodeId(""),
    relay: CallRelay | None = None,
    secret: Secret | None = None,
    issued: Callable[[str], None] | None = None,
) -> CallsPart:
    """Running calls, those of an earlier process among them. `close` must end before `tasks` and
    the store are closed.

    `secret`: of an operator's own TURN server; by default that of `turn_secret`, for ours. `issued`
    is told the username of each ticket. In a
    cluster `relay` has a port of its own, `outlet` is the wide one, and `relay.nodes_changed` is to
    be called when nodes come and go.
    """
    tickets = Tickets(secret or await turn_secret(store), urls, issued=issued)
    calls = CallsPart(
        rooms, call_log, store.calls, KeptEnds(store.call_quality), outlet=outlet, tickets=tickets,
        clock=clock, ids=ids, tasks=tasks, limits=limits or CallLimits(), plane=plane,
        node_id=node_id, relay=relay,
    )  # fmt: skip
    calls.events = events.bind(calls)
    await calls.start()
    return calls


async def turn_secret(store: Store) -> Secret:
    """One for the whole server, made when first asked for: hexadecimal."""
    return Secret((await store.accounts.secret(SECRET_NAME, os.urandom(SECRET_BYTES))).hex())
