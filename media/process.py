"""The media process: `python -m media.process FD`, started by the hub.

FD is one end of a Unix socket pair. The first frame says how; then commands come and reports go.
When the hub is gone the socket ends, and so does this process.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import socket
import sys

import uvloop

from media.planes.frames import (
    WAITING_BYTES,
    Beat,
    Configure,
    FromChild,
    Refused,
    Torn,
    encode,
    read_command,
)
from media.planes.python import PythonPlane
from server.kernel.logs import configure_logs, get_logger
from server.kernel.tasks import TaskOwner

BEAT_S = 1.0
FILES = 32_768
"""Sockets: a relay port for each allocation, and TCP connections, of which strangers may open
thousands. Systems begin a program with 1,024.
"""
log = get_logger(__name__)


class Process:
    """Carries between the socket and the plane until either ends."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._tasks = TaskOwner("media", on_crash=lambda name, error: self._over.set())
        self._over = asyncio.Event()

    async def run(self) -> int:
        """The exit code: 0 when the hub closed, 1 when the sockets cannot be opened."""
        try:
            first = await read_command(self._reader)
        except Torn:
            return 0
        if not isinstance(first, Configure):
            return 1
        configure_logs(first.log_level, first.log_format)
        plane = PythonPlane(first.settings)
        try:
            await plane.open()
        except OSError as error:
            self._send(Refused(error.strerror or "sockets"))
            with contextlib.suppress(OSError):
                await self._writer.drain()
            return 1
        log.info("media.started", candidates=len(plane.sockets.candidates()[0]))
        self._tasks.start(self._obey(plane), "commands")
        self._tasks.start(self._tell(plane), "reports")
        self._tasks.start(self._beat(), "beat")
        await self._over.wait()
        await self._tasks.close()
        await plane.close()
        log.info("media.stopped")
        return 0

    async def _obey(self, plane: PythonPlane) -> None:
        try:
            while True:
                command = await read_command(self._reader)
                if not isinstance(command, Configure):
                    plane.command(command)
        except Torn:
            self._over.set()

    async def _tell(self, plane: PythonPlane) -> None:
        while True:
            for report in await plane.reports():
                self._send(report)

    async def _beat(self) -> None:
        while True:
            self._send(Beat())
            await asyncio.sleep(BEAT_S)

    def _send(self, value: FromChild) -> None:
        waiting = self._writer.transport.get_write_buffer_size()
        if self._writer.is_closing() or waiting > WAITING_BYTES:
            # The hub is gone, or reads nothing any more: it starts another process when it is back.
            self._over.set()
            return
        self._writer.write(encode(value))


def raise_file_limit() -> None:
    """To what is allowed, where that is more than what is given."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def main(descriptor: int) -> int:
    # A terminal's Ctrl-C reaches both: the hub says when.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise_file_limit()
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=descriptor))
    try:
        return await Process(reader, writer).run()
    finally:
        writer.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(runner.run(main(int(sys.argv[1]))))
