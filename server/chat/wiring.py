"""What compose takes from chat: the service with its tables bound to it."""

from __future__ import annotations

from server.chat.handlers.events import events
from server.chat.handlers.routes import routes
from server.chat.service import Chat
from server.kernel.clock import Clock
from server.kernel.config import Config
from server.kernel.ids import Ids
from server.kernel.outlet import Outlet
from server.kernel.tasks import TaskOwner
from storage.api import Store

__all__ = ["Chat", "ChatPart", "build", "events", "routes"]


class ChatPart(Chat):
    """Chat with what the hub and the HTTP server serve of it."""

    def __init__(
        self,
        store: Store,
        outlet: Outlet,
        *,
        clock: Clock,
        ids: Ids,
        config: Config,
        tasks: TaskOwner,
    ) -> None:
        super().__init__(store, outlet, clock=clock, ids=ids, config=config, tasks=tasks)
        self.events = events.bind(self)
        self.routes = routes.bind(self)


async def build(
    config: Config, store: Store, *, outlet: Outlet, clock: Clock, ids: Ids, tasks: TaskOwner
) -> ChatPart:
    """A running chat. Its `close` must end before `tasks` and the store are closed."""
    chat = ChatPart(store, outlet, clock=clock, ids=ids, config=config, tasks=tasks)
    chat.start()
    return chat
