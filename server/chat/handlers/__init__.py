"""Translate between the wire and chat: socket events and HTTP routes. They decide nothing."""
