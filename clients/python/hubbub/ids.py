"""Client ids: UUIDv7 (RFC 9562, 5.7) by the server's clock, ascending within one client."""

from __future__ import annotations

import os
import time
from collections.abc import Callable


class ClientIds:
    """Makes command ids. The server refuses ids dated over 1 h ahead or 30 days back of its clock,
    so the clock learned from `GET /api/v1/server` (and from refusals) is what counts.
    """

    def __init__(self, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._now_ms = now_ms
        self._offset_ms = 0
        self._last = 0

    def learn(self, server_now_ms: int) -> None:
        self._offset_ms = server_now_ms - self._now_ms()
        self._last = 0

    def new(self) -> str:
        noise = int.from_bytes(os.urandom(10), "big")
        value = (self._now_ms() + self._offset_ms & (1 << 48) - 1) << 80
        value |= 0x7 << 76 | (noise >> 68 & 0xFFF) << 64 | 0b10 << 62 | noise & (1 << 62) - 1
        if value <= self._last:
            value = self._last + 1
        self._last = value
        text = f"{value:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
