"""What the hub keeps of one socket, as little as it can: 5,000 idle ones have to be cheap."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from server.kernel.events import Context
from server.kernel.ids import SocketId, UserId

if TYPE_CHECKING:
    from server.hub.engineio.socket import Socket

LOG_EVERY_S = 1.0
"""A client that sends rubbish writes at most one log line in this time."""

ACTIVE_EVERY_S = 1.0
"""Observers hear of a socket's events at most once in this time."""


class State(IntEnum):
    OPEN = 0
    """No CONNECT yet, or a refused one."""
    CONNECTING = 1
    LIVE = 2
    ENDED = 3


class Session:
    """One socket. `ctx` is None until its token was accepted."""

    __slots__ = (
        "active_at", "ctx", "level", "level_at", "logged_at", "pending", "skip_bytes",
        "skip_count", "socket", "state", "unlogged", "user_id",
    )  # fmt: skip

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self.state = State.OPEN
        self.ctx: Context | None = None
        self.user_id: UserId | None = None
        self.level = -1.0
        self.level_at = 0.0
        self.pending = 0
        self.active_at = float("-inf")
        self.logged_at = float("-inf")
        self.unlogged = 0
        self.skip_count = 0
        self.skip_bytes = 0

    @property
    def socket_id(self) -> SocketId:
        return self.ctx.socket_id if self.ctx is not None else SocketId("")

    def take_event(self, now: float, rate_per_s: float, burst: float) -> float:
        """The general bucket of this socket: 0.0 when allowed, else seconds (> 0) to wait."""
        if rate_per_s <= 0:
            return 0.0
        if self.level < 0:
            self.level = burst
        else:
            self.level = min(burst, self.level + max(0.0, now - self.level_at) * rate_per_s)
        self.level_at = now
        if self.level < 1.0:
            return (1.0 - self.level) / rate_per_s
        self.level -= 1.0
        return 0.0

    def may_log(self, now: float) -> bool:
        """True at most once in LOG_EVERY_S; the others are counted in `unlogged`."""
        if now - self.logged_at < LOG_EVERY_S:
            self.unlogged += 1
            return False
        self.logged_at = now
        return True
