"""Tickets by their hash: clients of TURN may hide their user name (RFC 8489, USERHASH)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from media.connections import KnowTicket

KEPT = 1_000
"""Tickets that a media process which starts again is told: the last ones."""


class Relays(Protocol):
    """Of `server.compose.media.MediaPart`, what is needed here."""

    on_ready: list[Callable[[], None]]

    def command(self, command: KnowTicket) -> None: ...


class KnownTickets:
    """A hash says nothing of the name behind it: the media process is told those made here. Tickets
    of other nodes are good here by their names alone, so nobody is asked for hashes.
    """

    def __init__(self, media: Relays) -> None:
        self._media = media
        self._names: dict[str, None] = {}
        media.on_ready.append(self._again)

    def issued(self, username: str) -> None:
        self._names.pop(username, None)
        self._names[username] = None
        if len(self._names) > KEPT:
            del self._names[next(iter(self._names))]
        self._media.command(KnowTicket(username))

    def _again(self) -> None:
        for username in self._names:
            self._media.command(KnowTicket(username))
