"""What compose takes from presence: the service with its events bound to it."""

from __future__ import annotations

from server.kernel.clock import Clock
from server.kernel.config import Config
from server.kernel.ids import NodeId
from server.kernel.outlet import Outlet
from server.kernel.tasks import TaskOwner
from server.presence.handlers import events
from server.presence.service import PresenceService
from storage.api import Fanout, SharedPresence, Store

__all__ = ["PresencePart", "PresenceService", "build", "events"]


class PresencePart(PresenceService):
    """Presence with what the hub serves of it."""

    def __init__(
        self,
        store: Store,
        outlet: Outlet,
        *,
        clock: Clock,
        config: Config,
        tasks: TaskOwner,
        node_id: NodeId | None = None,
        shared: SharedPresence | None = None,
        fanout: Fanout | None = None,
    ) -> None:
        super().__init__(
            store, outlet, clock=clock, config=config, tasks=tasks,
            node_id=node_id, shared=shared, fanout=fanout,
        )  # fmt: skip
        self.events = events.bind(self)


def build(
    config: Config,
    store: Store,
    *,
    outlet: Outlet,
    clock: Clock,
    tasks: TaskOwner,
    node_id: NodeId | None = None,
    shared: SharedPresence | None = None,
    fanout: Fanout | None = None,
) -> PresencePart:
    """A running presence. Its `close` must end before `tasks` and the stores are closed.

    In a cluster `fanout` is a port of its own (its channels are user ids), and `nodes_changed` and
    `forgotten` are to be called.
    """
    presence = PresencePart(
        store, outlet, clock=clock, config=config, tasks=tasks,
        node_id=node_id, shared=shared, fanout=fanout,
    )  # fmt: skip
    presence.start()
    return presence
