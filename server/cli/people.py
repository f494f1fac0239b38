"""Accounts from the command line, on the stores themselves."""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from server.accounts.sessions import SessionOutlet
from server.accounts.wiring import AccountsPart, build
from server.chat.relay.outlets import tell_ended
from server.cli.terms import Refused, say
from server.compose import open_store
from server.compose.cluster import new_node_id
from server.compose.stores import open_shared
from server.kernel.clock import System
from server.kernel.config import Config
from server.kernel.ids import SessionId
from server.kernel.logs import configure_logs
from server.nodes.ports import Ports
from storage.api import Fanout, Store, UserRow


def add(config: Config, name: str, *, display_name: str | None, admin: bool) -> None:
    password = _ask_password()

    async def work(part: AccountsPart, store: Store) -> None:
        await part.operator.create_user(name, password, display_name=display_name, admin=admin)

    _with_accounts(config, work, beside=True)
    say(f"{name} can log in.")


def set_password(config: Config, name: str) -> None:
    password = _ask_password()

    async def work(part: AccountsPart, store: Store) -> None:
        await part.operator.set_password(name, password)

    _with_accounts(config, work)
    say(f"{name} has a new password and is logged out everywhere.")


def set_admin(config: Config, name: str, *, admin: bool) -> None:
    async def work(part: AccountsPart, store: Store) -> None:
        await part.operator.set_admin(name, admin)

    _with_accounts(config, work)
    say(f"{name} is {'an administrator' if admin else 'no administrator'} now.")


def set_disabled(config: Config, name: str, *, disabled: bool) -> None:
    async def work(part: AccountsPart, store: Store) -> None:
        await part.operator.set_disabled(name, disabled)

    _with_accounts(config, work)
    say(f"{name} is {'locked out' if disabled else 'let in'}.")


def mint(config: Config, name: str) -> None:
    async def work(part: AccountsPart, store: Store) -> None:
        session = await part.operator.mint(name)
        say(session.access_token)

    _with_accounts(config, work, beside=True)


def show(config: Config) -> None:
    async def work(part: AccountsPart, store: Store) -> None:
        after: str | None = None
        while rows := await store.accounts.all_users(after=after):
            for row in rows:
                say(_line(row))
            after = rows[-1].username

    _with_accounts(config, work, beside=True)


def _line(row: UserRow) -> str:
    made = datetime.fromtimestamp(row.created_at / 1000, UTC).strftime("%Y-%m-%d")
    marks = [word for word, on in (("admin", row.admin), ("disabled", row.disabled)) if on]
    return f"{row.username:<32} {made}  {row.id}  {' '.join(marks)}".rstrip()


def _with_accounts(
    config: Config,
    work: Callable[[AccountsPart, Store], Awaitable[None]],
    *,
    beside: bool = False,
) -> None:
    """`beside`: also while a server has the data folder. What ends sessions needs that stopped; the
    nodes of a cluster hear of it.
    """
    configure_logs("warning", config.logging.format)

    async def run() -> None:
        store = await open_store(config, beside=beside)
        try:
            async with _elsewhere(config) as outlet:
                part = await build(config, store, outlet=outlet)
                try:
                    await work(part, store)
                finally:
                    part.close()
        finally:
            await store.close()

    asyncio.run(run())


@asynccontextmanager
async def _elsewhere(config: Config) -> AsyncIterator[SessionOutlet | None]:
    """The sockets of a cluster's nodes: they hear which sessions end here."""
    shared = await open_shared(config, new_node_id(), System())
    if shared is None:
        yield None
        return
    try:
        yield NodesOutlet(Ports(shared.fanout).open("s"))
    finally:
        await shared.close()


class NodesOutlet:
    """Implements `SessionOutlet` for a process without sockets."""

    def __init__(self, port: Fanout) -> None:
        self._port = port

    def end_sessions(self, session_ids: Collection[SessionId], reason: str) -> None:
        tell_ended(self._port, session_ids, reason)


def _ask_password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    password = getpass.getpass("Password (8 to 256 characters): ")
    if getpass.getpass("Again: ") != password:
        raise Refused("The two differ; nothing was changed.")
    return password
