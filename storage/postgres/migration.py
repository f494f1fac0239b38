"""Brings the database to this program's shape by the numbered steps in migrations/.

Steps only add to the shape while nodes of the version before still run: each says by
`-- compatible_from: N` in its first line the oldest program (its newest step) that can live with
it. So a cluster is upgraded node by node, and only a program that is too old refuses to start.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from storage.postgres.connections import CannotOpen, Connection, Connections

STEPS = Path(__file__).parent / "migrations"
HEADER = re.compile(r"-- compatible_from: (\d+)\n")
LOCK = 0x68756262
"""The advisory lock of those who migrate ("hubb")."""
LIMIT_S = 600.0
"""For all steps together: an index over a large log takes its time."""


class NewerSchema(CannotOpen):
    """The database was changed by a newer program, in a way that this one cannot live with."""


@dataclass(frozen=True, slots=True)
class Step:
    sql: str
    compatible_from: int


def read_steps(folder: Path = STEPS) -> dict[int, Step]:
    steps = {}
    for file in folder.glob("*.sql"):
        sql = file.read_text("utf-8")
        number, header = re.match(r"(\d{4})_", file.name), HEADER.match(sql)
        assert number is not None, file.name
        assert header is not None, file.name
        steps[int(number[1])] = Step(sql, int(header[1]))
    return steps


async def bring_up(
    connections: Connections, steps: Mapping[int, Step] | None = None
) -> tuple[int, int]:
    """Run the steps that the database lacks; of several nodes at once, one does.

    Returns:
        The versions before and after.
    Raises:
        NewerSchema.
    """
    known = read_steps() if steps is None else steps

    async def migrate(connection: Connection) -> tuple[int, int]:
        await connection.execute(f"SET LOCAL statement_timeout = {round(LIMIT_S * 1000)}")
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        version, compatible_from = await _version(connection)
        latest = max(known)
        _check(latest, version, compatible_from)
        for number in range(version + 1, latest + 1):
            await connection.execute(known[number].sql)
            compatible_from = max(compatible_from, known[number].compatible_from)
        if version < latest:
            set_version = "UPDATE hubbub_schema SET version = $1, compatible_from = $2"
            await connection.execute(set_version, latest, compatible_from)
        return version, max(version, latest)

    return await connections.transaction(migrate, limit_s=LIMIT_S)


async def _version(connection: Connection) -> tuple[int, int]:
    encoding = await connection.fetchval("SELECT current_setting('server_encoding')")
    if encoding != "UTF8":
        raise CannotOpen(f"The database's encoding is {encoding}. Make one with ENCODING 'UTF8'.")
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS hubbub_schema (one boolean PRIMARY KEY DEFAULT true "
        "CHECK (one), version int NOT NULL, compatible_from int NOT NULL)"
    )
    await connection.execute(
        "INSERT INTO hubbub_schema (version, compatible_from) VALUES (0, 0) ON CONFLICT DO NOTHING"
    )
    row = await connection.fetchrow("SELECT version, compatible_from FROM hubbub_schema")
    assert row is not None
    return row[0], row[1]


def _check(latest: int, version: int, compatible_from: int) -> None:
    if latest < compatible_from:
        raise NewerSchema(
            f"The database was changed by a newer hubbub (schema {version}, for programs that "
            f"know {compatible_from} and later; this one knows {latest}). Start the newer program."
        )
