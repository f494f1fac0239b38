"""The packet plane in a process of its own, started again when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import Sequence

import msgspec

from media.connections import PlaneReady
from media.planes.frames import (
    WAITING_BYTES,
    Beat,
    Configure,
    Refused,
    ToChild,
    Torn,
    encode,
    read_report,
)
from media.planes.reports import Command, Report, Reports
from server.kernel.logs import get_logger
from server.kernel.tasks import TaskOwner

SILENT_S = 10.0
"""A child that has said nothing for so long, not even its beat, hangs and is killed."""
CLOSE_S = 3.0
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
STEADY_S = 10.0
"""A child that lived so long may be started again at once."""
log = get_logger(__name__)


class ChildPlane:
    """A `PacketPlane`. While there is no child commands are dropped; its first report tells."""

    def __init__(self, configure: Configure) -> None:
        self._configure = configure
        self._reports = Reports()
        self._tasks = TaskOwner("media")
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._loop = asyncio.get_running_loop()
        self._closing = False
        self.starts = 0
        self.refused: str | None = None
        """Why the last child could not open its sockets."""

    def start(self) -> None:
        self._tasks.start(self._supervise(), "supervisor")

    @property
    def running(self) -> bool:
        """Whether there is a child that could open its sockets, as far as it has said."""
        return self._writer is not None and self.refused is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def command(self, command: Command) -> None:
        self._send(command)

    async def reports(self) -> Sequence[Report]:
        return await self._reports.take()

    async def close(self) -> None:
        """The child closes its connections and ends; if it does not it is killed."""
        self._closing = True
        writer, process = self._writer, self._process
        if writer is not None:
            writer.close()
        if process is not None:
            await _ended(process, CLOSE_S)
        await self._tasks.close()

    async def _supervise(self) -> None:
        pause = FIRST_PAUSE_S
        while not self._closing:
            began = self._loop.time()
            await self._live()
            lived = self._loop.time() - began
            pause = FIRST_PAUSE_S if lived >= STEADY_S else min(pause * 2, LONGEST_PAUSE_S)
            await asyncio.sleep(pause)

    async def _live(self) -> None:
        """One child from its start to its end."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "media.process", str(theirs.fileno()),
                    pass_fds=(theirs.fileno(),), stdin=asyncio.subprocess.DEVNULL,
                )  # fmt: skip
        except BaseException:
            ours.close()
            raise
        self._process = process
        self.starts += 1
        reader, self._writer = await asyncio.open_connection(sock=ours)
        try:
            self._send(self._configure)
            await self._listen(reader)
        finally:
            writer, self._writer = self._writer, None
            writer.close()
            await _ended(process, CLOSE_S)
            log.warning("media.ended", code=process.returncode, refused=self.refused)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while True:
            try:
                async with asyncio.timeout(SILENT_S):
                    report = await read_report(reader)
            except (Torn, TimeoutError):
                return
            if isinstance(report, Refused):
                self.refused = report.reason
            elif not isinstance(report, Beat):
                self.refused = None
                if isinstance(report, PlaneReady):
                    self._keep_ports(report)
                self._reports.add(report)

    def _keep_ports(self, ready: PlaneReady) -> None:
        """The next child has the same: clients know them by now."""
        settings = msgspec.structs.replace(
            self._configure.settings, port=ready.port, tcp_port=ready.tcp_port
        )
        self._configure = msgspec.structs.replace(self._configure, settings=settings)

    def _send(self, value: ToChild) -> None:
        writer = self._writer
        if writer is None:
            return
        if writer.transport.get_write_buffer_size() > WAITING_BYTES:
            log.error("media.stuck", pid=self.pid)
            writer.transport.abort()
            return
        writer.write(encode(value))


async def _ended(process: asyncio.subprocess.Process, within_s: float) -> None:
    """Waits; kills the one that does not end by itself."""
    try:
        async with asyncio.timeout(within_s):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        raise
