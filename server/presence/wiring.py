"""What compose takes from presence: the service with its events bound to it."""

from __future__ import annotations

from server.kernel.clock import Clock
from server.kernel.config import Config
from server.kernel.outlet import Outlet
from server.kernel.tasks import TaskOwner
from server.presence.handlers import events
from server.presence.service import PresenceService
from storage.api import Store

__all__ = ["PresencePart", "PresenceService", "build", "events"]


class PresencePart(PresenceService):
    """Presence with what the hub serves of it."""

    def __init__(
        self, store: Store, outlet: Outlet, *, clock: Clock, config: Config, tasks: TaskOwner
    ) -> None:
        super().__init__(store, outlet, clock=clock, config=config, tasks=tasks)
        self.events = events.bind(self)


def build(
    config: Config, store: Store, *, outlet: Outlet, clock: Clock, tasks: TaskOwner
) -> PresencePart:
    """A running presence. Its `close` must end before `tasks` and the store are closed."""
    presence = PresencePart(store, outlet, clock=clock, config=config, tasks=tasks)
    presence.start()
    return presence
