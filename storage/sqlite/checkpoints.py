"""When and how the write-ahead log is carried over into the database file.

A checkpoint of many pages takes tens of ms. So under load a thread of its own makes it while the
writer goes on, and the writer then carries over only what came meanwhile: with nothing left over,
SQLite begins the log anew and it stays small. With nothing to write the writer does it all.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

import apsw

from server.kernel.logs import get_logger
from storage.sqlite.connection import open_beside

log = get_logger(__name__)

BUSY_WEIGHT = 16_000
"""Pages written since the last checkpoint, about, at which one is due under load (64 MB of log)."""
BLANKED_S = 10.0
"""Blanked content leaves the log within this time, also under load."""


class Checkpoints:
    """Belongs to the writer's thread. With `path` None the writer does all of it."""

    def __init__(self, connection: apsw.Connection, path: Path | None) -> None:
        self._connection = connection
        self._path = path
        self._weight = 0
        self._blanked_at: float | None = None
        self._helper: threading.Thread | None = None

    @property
    def needed(self) -> bool:
        return self._weight > 0 or self._blanked_at is not None

    def wrote(self, weight: int, blanked: bool) -> None:
        """After each commit: count, and do what is due under load."""
        self._weight += weight
        if blanked and self._blanked_at is None:
            self._blanked_at = time.monotonic()
        if self._helper is not None:
            if not self._helper.is_alive():
                self._helper = None
                self.idle()
        elif self._weight >= BUSY_WEIGHT:
            self._begin()
        elif self._blanked_at is not None and time.monotonic() - self._blanked_at > BLANKED_S:
            self.idle()

    def idle(self) -> None:
        """Carry over what is left; where content was blanked, cut the log to nothing."""
        mode = apsw.SQLITE_CHECKPOINT_PASSIVE
        if self._blanked_at is not None:
            mode = apsw.SQLITE_CHECKPOINT_TRUNCATE
        self._weight, self._blanked_at = 0, None
        _checkpoint(self._connection, mode)

    def close(self) -> None:
        if self._helper is not None:
            self._helper.join()

    def _begin(self) -> None:
        if self._path is None:
            self.idle()
            return
        self._weight = 0
        self._helper = threading.Thread(
            target=_checkpoint_beside, args=(self._path,), name="hubbub-checkpoint", daemon=True
        )
        self._helper.start()


def _checkpoint_beside(path: Path) -> None:
    try:
        connection = open_beside(path)
    except apsw.Error as error:
        log.warning("store.checkpoint_failed", error=type(error).__name__)
        return
    _checkpoint(connection, apsw.SQLITE_CHECKPOINT_PASSIVE)
    connection.close()


def _checkpoint(connection: apsw.Connection, mode: int) -> None:
    try:
        connection.wal_checkpoint(mode=mode)
    except apsw.Error as error:
        log.warning("store.checkpoint_failed", error=type(error).__name__)
