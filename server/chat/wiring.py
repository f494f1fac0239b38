"""What compose takes from chat: the service, and the tables that it binds to it."""

from server.chat.handlers.events import events
from server.chat.handlers.routes import routes
from server.chat.service import Chat

__all__ = ["Chat", "events", "routes"]
