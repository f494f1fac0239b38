"""What a client keeps between runs: its session, where it is in each room, and its outbox."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any, Protocol

import msgspec

from hubbub.models import Session
from hubbub.outbox import Command, as_row, from_row


class Journal(Protocol):
    """Calls are short and blocking; all happen on the client's loop."""

    def session(self) -> Session | None: ...

    def keep_session(self, session: Session | None) -> None: ...

    def cursors(self) -> dict[str, tuple[str, int]]:
        """room_id -> (log_id, seq) of the last event handed out."""
        ...

    def keep_cursor(self, room_id: str, log_id: str, seq: int) -> None: ...

    def drop_cursor(self, room_id: str) -> None: ...

    def commands(self) -> list[Command]:
        """In the order they were put."""
        ...

    def put(self, command: Command) -> None: ...

    def drop(self, client_id: str) -> None: ...

    def close(self) -> None: ...


class MemoryJournal:
    """Lives as long as the client."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self._cursors: dict[str, tuple[str, int]] = {}
        self._commands: dict[str, Command] = {}

    def session(self) -> Session | None:
        return self._session

    def keep_session(self, session: Session | None) -> None:
        self._session = session

    def cursors(self) -> dict[str, tuple[str, int]]:
        return dict(self._cursors)

    def keep_cursor(self, room_id: str, log_id: str, seq: int) -> None:
        self._cursors[room_id] = (log_id, seq)

    def drop_cursor(self, room_id: str) -> None:
        self._cursors.pop(room_id, None)

    def commands(self) -> list[Command]:
        return list(self._commands.values())

    def put(self, command: Command) -> None:
        self._commands[command.client_id] = command

    def drop(self, client_id: str) -> None:
        self._commands.pop(client_id, None)

    def close(self) -> None:
        return None


class FileJournal:
    """A SQLite file (mode 0600: it holds the session's tokens).

    Survives the death of the process; a power cut may lose the last second (WAL, synchronous
    NORMAL), which costs a command that was not acknowledged yet, never an acknowledged one.
    """

    def __init__(self, path: Path | str) -> None:
        place = Path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(place, os.O_CREAT | os.O_RDWR, 0o600))
        self._db = sqlite3.connect(place, isolation_level=None)
        self._db.executescript(
            "pragma journal_mode = wal; pragma synchronous = normal;"
            "create table if not exists state (name text primary key, value blob) without rowid;"
            "create table if not exists cursor"
            " (room text primary key, log text, seq integer) without rowid;"
            "create table if not exists outbox"
            " (place integer primary key, client_id text unique, row blob);"
        )

    def session(self) -> Session | None:
        row = self._db.execute("select value from state where name = 'session'").fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=Session)

    def keep_session(self, session: Session | None) -> None:
        if session is None:
            self._db.execute("delete from state where name = 'session'")
        else:
            self._write(
                "insert or replace into state values ('session', ?)", msgspec.json.encode(session)
            )

    def cursors(self) -> dict[str, tuple[str, int]]:
        rows = self._db.execute("select room, log, seq from cursor")
        return {room: (log, seq) for room, log, seq in rows}

    def keep_cursor(self, room_id: str, log_id: str, seq: int) -> None:
        self._write("insert or replace into cursor values (?, ?, ?)", room_id, log_id, seq)

    def drop_cursor(self, room_id: str) -> None:
        self._write("delete from cursor where room = ?", room_id)

    def commands(self) -> list[Command]:
        rows = self._db.execute("select row from outbox order by place")
        return [from_row(msgspec.json.decode(row[0])) for row in rows]

    def put(self, command: Command) -> None:
        self._write(
            "insert into outbox (client_id, row) values (?, ?)",
            command.client_id,
            msgspec.json.encode(as_row(command)),
        )

    def drop(self, client_id: str) -> None:
        self._write("delete from outbox where client_id = ?", client_id)

    def close(self) -> None:
        self._db.close()

    def _write(self, statement: str, *values: Any) -> None:
        self._db.execute(statement, values)
