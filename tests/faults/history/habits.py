"""Who a client of a history is, and how it behaves."""

from __future__ import annotations

import msgspec


class Persona(msgspec.Struct):
    """Who the client is. `rooms`: id to log id."""

    process: str
    user: str
    token: str
    rooms: dict[str, str]


class Habits(msgspec.Struct):
    """How it behaves; each share is of 1."""

    rate: float = 20.0
    """Commands a second, at most."""
    window: int = 8
    """Commands under way at once."""
    edits: float = 0.08
    deletes: float = 0.02
    repeats: float = 0.03
    """Of commands that were answered, sent once more later."""
    abandons: float = 0.05
    """Of those without an answer, never sent again."""
    holds: float = 0.1
    """Of those without an answer, sent again only after `hold_s`."""
    hold_s: float = 30.0
    page_every_s: float = 1.0
    drop_every_s: float = 25.0
    """How often it breaks its line by itself, on average."""
    hot: float = 0.5
    """Share of commands that go to the first room."""
    pause_s: float = 1.0
    """Between two tries to connect, at most."""
