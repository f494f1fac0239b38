"""Names the concrete classes and wires them: the only package that does."""

from server.compose.server import OpenStore, Server, running_server, web_folder
from server.compose.stores import open_folder, open_store

__all__ = ["OpenStore", "Server", "open_folder", "open_store", "running_server", "web_folder"]
