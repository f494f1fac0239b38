"""The packet plane in Python: one port, in the loop of this process."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from media import api
from media.connections import (
    CloseConnection,
    ConnectionDown,
    ConnectionUp,
    IceParameters,
    KnowRemote,
    KnowTicket,
    OpenConnection,
    PathChosen,
    PlaneCounts,
    PlaneReady,
    RestartIce,
    RevokeUser,
)
from media.dtls.certificate import Certificate, new_certificate
from media.dtls.context import new_context
from media.ice.checks import Credentials
from media.ice.lite import NameTaken
from media.ice.outputs import Path
from media.ice.reflexive import Query
from media.planes.calls import Calls
from media.planes.connection import Connection
from media.planes.oneport import OnePort
from media.planes.reports import Command, Report, Reports
from media.planes.settings import PlaneSettings
from media.planes.sockets import Sockets
from media.turn.exchange import TicketIssued, UserRevoked

STATS_S = 5.0
TELL_S = 0.1
"""Between reports of paths of one connection; what changed meanwhile is told with the figures. A
peer could nominate to and fro thousands of times a second.
"""


class PythonPlane:
    """`await open`, then it is a `PacketPlane` whose commands and reports have `media.connections`
    too.
    """

    def __init__(self, settings: PlaneSettings, *, certificate: Certificate | None = None) -> None:
        self.drops: Counter[str] = Counter()
        self._certificate = certificate or new_certificate()
        self._context = new_context(self._certificate)
        self._reports = Reports()
        self._calls = Calls()
        self._port = OnePort(self, self.drops)
        self._sockets = Sockets(settings, self._port)
        self._loop = asyncio.get_running_loop()
        self._chosen_at: dict[str, float] = {}
        self._untold: dict[str, Path] = {}
        self._stats: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Raises OSError when an address cannot be had."""
        await self._sockets.open()
        self._reports.add(api.PlaneStarted())
        self._tell_ready()
        self._measure()

    @property
    def connections(self) -> int:
        return len(self._port.connections)

    @property
    def sockets(self) -> Sockets:
        return self._sockets

    def command(self, command: Command) -> None:
        match command:
            case OpenConnection():
                self._open(command)
            case KnowRemote(name, remote, role):
                self._port.ice.know(name, _credentials(remote.ice))
                connection = self._port.connections.get(name)
                if connection is not None:
                    connection.know(remote, role)
            case RestartIce():
                self._restart(command)
            case CloseConnection(name):
                self._close(name)
            case RevokeUser(user, tickets_until):
                if self._sockets.turn is not None:
                    self._sockets.turn.give(UserRevoked(user, tickets_until))
            case KnowTicket(username):
                if self._sockets.turn is not None:
                    self._sockets.turn.give(TicketIssued(username))
            case _:
                for connection in self._calls.command(command, self._port.connections.values()):
                    self._close(connection.id)

    async def reports(self) -> Sequence[Report]:
        return await self._reports.take()

    async def close(self) -> None:
        if self._stats is not None:
            self._stats.cancel()
        for name in tuple(self._port.connections):
            self._close(name)
        self._port.close()
        await self._sockets.close()

    # ---- what the port tells -------------------------------------------------------------------

    def path_selected(self, connection: Connection, path: Path, why: str) -> None:
        now = self._loop.time()
        if now - self._chosen_at.get(connection.id, 0.0) < TELL_S and why == "nominated":
            self._untold[connection.id] = path
        else:
            self._chosen_at[connection.id] = now
            self._tell_path(connection, path, why)
        if connection.is_up:
            self._reports.add(self._calls.connected(connection))

    def _tell_path(self, connection: Connection, path: Path, why: str) -> None:
        link = self._port.links[path[0]]
        self._reports.add(
            PathChosen(
                connection_id=connection.id,
                protocol="tcp" if link.protocol == "tcp" else "udp",
                local=self._sockets.local(link),
                remote=_text(path[1][0], path[1][1]),
                why=why,
                after_ms=connection.after_ms(),
            )
        )

    def path_lost(self, connection: Connection, why: str) -> None:
        self._reports.add(ConnectionDown(connection.id, why))
        self._reports.add(self._calls.lost(connection))

    def came_up(self, connection: Connection, report: ConnectionUp) -> None:
        self._reports.add(report)
        self._reports.add(self._calls.connected(connection))

    def went_down(self, connection: Connection, report: ConnectionDown) -> None:
        self._forget(connection)
        self._reports.add(report)
        self._reports.add(self._calls.lost(connection))

    def address_found(self, query: Query) -> None:
        self._sockets.found(query)
        self._tell_ready()

    # ---- steps -------------------------------------------------------------------------------

    def _open(self, command: OpenConnection) -> None:
        name = command.connection_id
        if name in self._port.connections or not self._calls.admits(command):
            self._reports.add(ConnectionDown(name, "refused", "no such peer"))
            return
        remote = command.remote
        try:
            self._port.ice.open(
                name,
                _credentials(command.local),
                _credentials(remote.ice) if remote is not None else None,
                self._loop.time(),
            )
        except NameTaken:
            self._reports.add(ConnectionDown(name, "refused", "name taken or too many"))
            return
        connection = Connection(command, self._context, self._port)
        self._port.connections[name] = connection
        if remote is not None:
            connection.know(remote, command.role)

    def _restart(self, command: RestartIce) -> None:
        remote = _credentials(command.remote) if command.remote is not None else None
        try:
            self._port.ice.restart(command.connection_id, _credentials(command.local), remote)
        except NameTaken:
            self._reports.add(
                ConnectionDown(command.connection_id, "refused", "name taken or too many")
            )

    def _close(self, name: str) -> None:
        connection = self._port.connections.get(name)
        if connection is not None:
            connection.close()
            self._port.remove(connection)
            self._forget(connection)
            self._calls.lost(connection)

    def _tell_ready(self) -> None:
        candidates, only_private = self._sockets.candidates()
        tcp = self._sockets.tcp
        self._reports.add(
            PlaneReady(
                self._certificate.fingerprint, tuple(candidates), only_private,
                hosts=tuple(host for host, *_ in self._sockets.udp),
                port=self._sockets.udp[0][1], tcp_port=tcp[0][1] if tcp else None,
            )
        )  # fmt: skip

    def _measure(self) -> None:
        self._stats = self._loop.call_later(STATS_S, self._measure)
        self._sockets.look()
        untold, self._untold = self._untold, {}
        for name, path in untold.items():
            if path[0] in self._port.links:
                self._tell_path(self._port.connections[name], path, "nominated")
        for connection in self._port.connections.values():
            if connection.is_up:
                self._reports.add(connection.stats())
        turn = self._sockets.turn
        drops = self.drops + turn.drops if turn is not None else self.drops
        allocations = turn.allocations if turn is not None else 0
        self._reports.add(PlaneCounts(self.connections, allocations, dict(drops)))

    def _forget(self, connection: Connection) -> None:
        self._chosen_at.pop(connection.id, None)
        self._untold.pop(connection.id, None)


def _credentials(parameters: IceParameters) -> Credentials:
    return Credentials(parameters.ufrag, parameters.password)


def _text(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
