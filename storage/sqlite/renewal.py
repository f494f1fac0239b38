"""New identities for logs, after which no client continues from what it had."""

from __future__ import annotations

import os

import apsw

from server.kernel.ids import uuid7
from storage.sqlite.connection import ask


def renew_logs(connection: apsw.Connection) -> None:
    """Inside the caller's transaction. The ids are undated: they order nothing."""
    keys = ask(connection, "SELECT key FROM rooms WHERE log_id IS NOT NULL")
    connection.executemany(
        "UPDATE rooms SET log_id = ? WHERE key = ?",
        ((uuid7(0, os.urandom), key) for (key,) in keys),
    )
