"""Brings a keyspace to this program's shape by the numbered steps in migrations/.

Steps only add, and each of their statements may be run twice (IF NOT EXISTS). Each step names the
oldest version whose programs can live with it (`compatible_from`), so that nodes of the version
before go on while new ones start.
"""

from __future__ import annotations

import asyncio
import os
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from acsylla import errors

from server.kernel.config import Cassandra
from server.kernel.errors import Unavailable
from server.kernel.logs import get_logger
from storage.cassandra.session import CassandraError, Session

STEPS = Path(__file__).parent / "migrations"
LOCK_S = 60
"""A node that died while it changed the schema holds the others up for this long."""
WAIT_S = 120.0
TURN_S = 0.25
AGREE_S = 10.0
ID_SPACE = uuid.UUID("5d3c0f0e-6f5b-4d5e-9f0a-0d7c1b2a3e4f")

log = get_logger(__name__)


class NewerSchema(CassandraError):
    """The keyspace has steps that programs of this version cannot live with."""


@dataclass(frozen=True)
class Step:
    number: int
    compatible_from: int
    statements: tuple[str, ...]


def read_steps(folder: Path = STEPS) -> list[Step]:
    found = []
    for file in sorted(folder.glob("*.cql")):
        text = file.read_text("utf-8")
        number = re.match(r"(\d{4})_", file.name)
        compatible = re.search(r"^-- compatible_from: (\d+)$", text, re.M)
        assert number is not None, file.name
        assert compatible is not None, file.name
        bare = re.sub(r"^--.*$", "", text, flags=re.M)
        statements = tuple(part.strip() for part in bare.split(";") if part.strip())
        found.append(Step(int(number[1]), int(compatible[1]), statements))
    return found


class Schema:
    """Of one keyspace: `found`, prepare SCHEMA, `bring_up`. Many nodes may do it at once."""

    def __init__(self, session: Session, config: Cassandra, steps: list[Step]) -> None:
        self._session = session
        self._config = config
        self._steps = steps
        self._owner = os.urandom(8).hex()

    async def bring_up(self) -> int:
        """Returns the version the keyspace then has.

        Raises:
            NewerSchema: the text says what to do. Unavailable: another node holds the lock.
        """
        version = await self._checked()
        if version >= self._newest:
            await self._agreed()
            return version
        await self._lock()
        try:
            version = await self._checked()
            for step in self._steps:
                if step.number > version:
                    await self._run(step)
        finally:
            await self._unlock()
        return self._newest

    @property
    def _newest(self) -> int:
        return self._steps[-1].number

    async def found(self) -> None:
        """The keyspace, and the table of steps and locks: made before there is a lock. Its id is
        given, so that nodes that make it in the same moment make the same.
        """
        name, session = self._config.keyspace, self._session
        there = await session.text(
            f"SELECT table_name FROM system_schema.tables WHERE keyspace_name = '{name}' "
            "AND table_name = 'schema_steps'"
        )
        if there:
            await self._agreed()
            return
        await self._change(
            f"CREATE KEYSPACE IF NOT EXISTS {name} WITH replication = "
            f"{{'class': 'NetworkTopologyStrategy', "
            f"'{self._config.datacenter}': {self._config.replication}}}"
        )
        await self._change(
            f"CREATE TABLE IF NOT EXISTS {name}.schema_steps (part tinyint, number int, "
            "compatible_from int, owner text, PRIMARY KEY (part, number)) "
            f"WITH ID = {uuid.uuid5(ID_SPACE, name)} AND speculative_retry = '150ms'"
        )
        await self._agreed()

    async def _agreed(self) -> None:
        """Wait until the nodes know what another program has just made; not for ever: one of them
        may be down.
        """
        give_up = asyncio.get_running_loop().time() + AGREE_S
        while asyncio.get_running_loop().time() < give_up:
            versions = set(await self._session.text("SELECT schema_version FROM system.local"))
            versions |= set(await self._session.text("SELECT schema_version FROM system.peers"))
            try:
                await self._session.text(f"SELECT number FROM {self._config.keyspace}.schema_steps")
            except errors.CassErrorServerInvalidQuery:
                versions.clear()
            if len(versions) == 1:
                return
            await asyncio.sleep(TURN_S)

    async def _change(self, text: str) -> None:
        """The driver waits until the nodes agree. Two nodes that make the same are both right."""
        try:
            await self._session.text(text)
        except errors.CassErrorServerAlreadyExists:
            return

    async def _checked(self) -> int:
        rows = await self._session.read("steps")
        steps: Mapping[int, int] = dict(rows)
        version = max(steps, default=0)
        oldest = max(steps.values(), default=0)
        if oldest > self._newest:
            raise NewerSchema(
                f"The keyspace has version {version}; it needs programs that know version "
                f"{oldest}, this one knows {self._newest}. Start the newer program."
            )
        return version

    async def _lock(self) -> None:
        give_up = asyncio.get_running_loop().time() + WAIT_S
        while (await self._session.insist([("lock", (self._owner, LOCK_S))]))[0]:
            holders = await self._session.read("holder", serial=True)
            if holders == [(self._owner,)]:
                return
            if asyncio.get_running_loop().time() > give_up:
                raise Unavailable("Another node is changing the schema.", retry_after_s=5.0)
            await asyncio.sleep(TURN_S)

    async def _run(self, step: Step) -> None:
        log.info("cassandra.schema_step", number=step.number)
        await self._session.insist([("lock_again", (LOCK_S, self._owner, self._owner))])
        for statement in step.statements:
            await self._change(qualified(statement, self._config.keyspace))
        await self._session.write("step", step.number, step.compatible_from)

    async def _unlock(self) -> None:
        await self._session.insist([("unlock", (self._owner,))])


def qualified(statement: str, keyspace: str) -> str:
    """The keyspace before the name of the table: a session has no keyspace of its own."""
    return re.sub(
        r"(?i)^((?:CREATE|ALTER) TABLE (?:IF (?:NOT )?EXISTS )?)(\w+)",
        rf"\g<1>{keyspace}.\g<2>",
        statement,
    )
