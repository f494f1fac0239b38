"""Requests for a session of another worker: the TCP connection itself is passed to that worker.

Workers share one port, so the kernel brings a long-polling request, or the WebSocket that takes
over from it, to any of them. The sid ends with the tag of the worker that has the session. One
that ends serves its sessions till then, and gives who wants a new one to a worker that stays.

Wire, over a Unix stream socket `<tag>.sock` (`<tag>.old` of one that ends) in a folder that only
this user may enter: 4 bytes length, big endian, then as many bytes as were read from the client.
The connection comes with the first byte (SCM_RIGHTS). The receiver answers one byte when it has
all: then it is the owner. A worker gives only what bears another's tag and answers itself for its
own, and nobody new is given to one that ends, so nothing goes round.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import secrets
import socket
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.hub.engineio.admission import UNKNOWN_SID
from server.hub.transport.upgrade import refusal_response
from server.kernel.logs import get_logger
from server.kernel.tasks import TaskOwner

log = get_logger(__name__)

Adopt = Callable[[socket.socket, bytes], Awaitable[None]]
"""Serve this connection; the bytes were read from it already."""

LIMIT_S = 2.0
"""The other side is on this machine: an answer takes 0.2 ms unless it hangs."""

MAX_UNDER_WAY = 1_000
"""More at once means that a worker hangs: its requests are refused without waiting for it."""

BACKLOG = 1_024
REST_S = 0.5
"""Until accepting is tried again when descriptors have run out."""

READ_MAX = 262_144
"""What a loop reads at once: so much of a body may come with the head."""

_TAG_BYTES = 6
_TAG = re.compile(r"[A-Za-z0-9_-]{8}")
_DOORS = (".sock", ".old")
_TAKEN = b"k"


@dataclass(slots=True)
class Counts:
    """Connections given to and taken from other workers; `failed` were given and not taken."""

    given: int = 0
    taken: int = 0
    failed: int = 0


class Handover:
    """One worker's door to the others. `folder` is shared by them and private to the user.

    `max_bytes` bounds what may come with a connection.
    """

    def __init__(self, folder: Path, *, max_bytes: int = 2_000_000) -> None:
        self.tag = secrets.token_urlsafe(_TAG_BYTES)
        self.counts = Counts()
        self.retired = False
        self._folder = folder
        self._max_bytes = max_bytes
        self._listener: socket.socket | None = None
        self._tasks = TaskOwner("handover")
        self._under_way: set[asyncio.Task[None]] = set()

    def _door(self, tag: str, suffix: str = ".sock") -> Path:
        return self._folder / f"{tag}{suffix}"

    def open(self, adopt: Adopt) -> None:
        """Raises OSError when the folder cannot be used."""
        self._adopt = adopt
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.setblocking(False)
            new = self._door(self.tag, ".new")
            listener.bind(str(new))
            listener.listen(BACKLOG)
            new.rename(self._door(self.tag))  # one that can be seen listens, or its worker is dead
        except OSError:
            listener.close()
            raise
        self._listener = listener
        self._watch()

    def retire(self) -> None:
        """From now on this worker gets only what its own sessions need."""
        self.retired = True
        with contextlib.suppress(FileNotFoundError):
            self._door(self.tag).rename(self._door(self.tag, ".old"))

    async def stop_taking(self) -> None:
        """What others have given already is adopted."""
        for suffix in _DOORS:
            self._door(self.tag, suffix).unlink(missing_ok=True)
        listener = self._listener
        if listener is not None:
            asyncio.get_running_loop().remove_reader(listener)
            while self._accepted(listener):
                pass
            self._listener = None
            listener.close()
        await self._settle()

    async def close(self) -> None:
        """Last, after the HTTP side: what is on its way to others arrives."""
        await self.stop_taking()
        await self._tasks.close()

    async def _settle(self) -> None:
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=LIMIT_S)

    # ---- giving ----------------------------------------------------------------------------------

    def give(self, tag: str, transport: asyncio.BaseTransport, seen: bytes) -> bool:
        """Pass the connection, of which `seen` was read, to the worker `tag`.

        False: there is no such worker, or too much is under way; the connection is as before.
        True: the transport is done with, its protocol hears `connection_lost`.
        """
        way = self._reach(tag) if len(self._tasks) < MAX_UNDER_WAY else None
        if way is None:
            return False
        try:
            kept = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        except OSError:
            way.close()
            return False
        transport.abort()  # type: ignore[attr-defined]  # closes its descriptor, not the connection
        self._start(self._give(way, kept, seen), "give")
        return True

    def sibling(self) -> str | None:
        """The tag of some worker that stays; this one is none when it is retired."""
        tags = [path.stem for path in self._folder.glob("*.sock") if path.stem != self.tag]
        return random.choice(tags) if tags else None

    def _reach(self, tag: str) -> socket.socket | None:
        if not _TAG.fullmatch(tag):
            return None
        for suffix in _DOORS:
            way = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            way.setblocking(False)
            try:
                way.connect(str(self._door(tag, suffix)))
            except OSError:
                way.close()
            else:
                return way
        return None

    async def _give(self, way: socket.socket, kept: socket.socket, seen: bytes) -> None:
        loop = asyncio.get_running_loop()
        message = len(seen).to_bytes(4, "big") + seen
        taken = b""
        with way, kept:
            try:
                async with asyncio.timeout(LIMIT_S):
                    sent = socket.send_fds(way, [message], [kept.fileno()])
                    if sent < len(message):
                        await loop.sock_sendall(way, message[sent:])
                    taken = await loop.sock_recv(way, 1)
            except (OSError, TimeoutError):
                pass
            if taken:
                self.counts.given += 1
            else:
                self._lost(kept)

    def _lost(self, kept: socket.socket) -> None:
        """The other has died or hangs: the client opens a new session at what it hears here."""
        self.counts.failed += 1
        log.warning("handover.failed", under_way=len(self._tasks))
        with contextlib.suppress(OSError):
            kept.send(refusal_response(400, UNKNOWN_SID.body()))
            kept.shutdown(socket.SHUT_WR)  # should the other awake, it can write nothing here

    # ---- taking ----------------------------------------------------------------------------------

    def _watch(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().add_reader(self._listener, self._arrived)

    def _arrived(self) -> None:
        assert self._listener is not None
        self._accepted(self._listener)

    def _accepted(self, listener: socket.socket) -> bool:
        """False: nobody waits, or there are no descriptors left."""
        try:
            way, _ = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError as error:
            log.warning("handover.resting", error=error.strerror)
            loop = asyncio.get_running_loop()
            loop.remove_reader(listener)
            loop.call_later(REST_S, self._watch)
            return False
        way.setblocking(False)
        if len(self._tasks) < MAX_UNDER_WAY:
            self._start(self._take(way), "take")
        else:
            way.close()
        return True

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = self._tasks.start(work, name)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _take(self, way: socket.socket) -> None:
        with way:
            try:
                async with asyncio.timeout(LIMIT_S):
                    seen, connection = await self._receive(way)
            except (OSError, TimeoutError):
                return
        self.counts.taken += 1
        try:
            await self._adopt(connection, seen)
        except OSError:
            connection.close()

    async def _receive(self, way: socket.socket) -> tuple[bytes, socket.socket]:
        """Raises OSError; the connection, if it came, is then closed here."""
        data, descriptors = await _first(way)
        if not descriptors:
            raise ConnectionError
        connection = socket.socket(fileno=descriptors[0])
        try:
            connection.setblocking(False)
            seen = await self._rest(way, data)
            # Who gave up waiting has closed his side, and keeps the connection: this raises.
            way.send(_TAKEN)
        except BaseException:
            connection.close()
            raise
        return seen, connection

    async def _rest(self, way: socket.socket, data: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        seen = bytearray(data)
        while len(seen) < 4 or len(seen) < 4 + int.from_bytes(seen[:4], "big"):
            chunk = await loop.sock_recv(way, READ_MAX)
            if not chunk or len(seen) > self._max_bytes:
                raise ConnectionError
            seen += chunk
        return bytes(seen[4:])


def sweep(folder: Path) -> None:
    """Remove what dead workers have left in a folder, and the folder when nothing else is in it."""
    for path in (path for path in folder.iterdir() if path.suffix in _DOORS):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as way:
            way.setblocking(False)
            try:
                way.connect(str(path))
            except ConnectionRefusedError:
                path.unlink(missing_ok=True)
            except OSError:  # it lives, and is busy
                pass
    with contextlib.suppress(OSError):
        folder.rmdir()


async def _first(way: socket.socket) -> tuple[bytes, list[int]]:
    """The first bytes and the descriptor that comes with them."""
    while True:
        try:
            data, descriptors, _, _ = socket.recv_fds(way, READ_MAX, 1, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            await _readable(way)
        else:
            return data, descriptors


async def _readable(way: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(way, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(way)
