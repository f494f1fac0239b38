"""Where clients find STUN and TURN: at this node, at others of the cluster, at the operator's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from server.compose.media import MediaPart
from storage.api import Node

OTHERS = 2
"""Nodes besides ours whose servers are told: browsers that are given many are slow to gather."""


class AllUrls:
    """Implements `signaling.ports.UrlSource`."""

    def __init__(
        self,
        own: MediaPart | None,
        configured: Sequence[str] = (),
        others: Callable[[], Sequence[Node]] = lambda: (),
    ) -> None:
        self._own = own
        self._configured = tuple(configured)
        self._others = others
        self._asked = 0

    def now(self) -> tuple[str, ...]:
        own = () if self._own is None else self._own.urls
        return tuple(dict.fromkeys((*own, *(() if own else self._elsewhere()), *self._configured)))

    async def known(self) -> bool:
        return self._own is None or await self._own.known()

    def _elsewhere(self) -> tuple[str, ...]:
        """A node without media tells those of some that have it, in turns."""
        nodes = [node for node in self._others() if node.ice_urls]
        if not nodes:
            return ()
        self._asked += 1
        first = self._asked % len(nodes)
        chosen = (nodes[first:] + nodes[:first])[:OTHERS]
        return tuple(url for node in chosen for url in node.ice_urls)
