"""A connection to Redis below redis-py: RESP2, for what is too often called to be awaited.

`open_link` dials, logs in and makes sure that the server serves; then the link is its owner's.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar, cast

import hiredis

from storage.redis.servers import Address

HIGH_WATER_BYTES = 1024 * 1024
"""What the transport holds before it asks its writer to wait."""

_Link = TypeVar("_Link", bound="Link")


class Refused(Exception):
    """Redis answered with an error; `code` is its first word."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Link(asyncio.Protocol):
    """Until `opened` replies go to those who `ask`, from then on to `received`.

    `lost` is set when the connection is over, whoever ended it; two that need each other may share
    it. `silent` counts the `tick`s since
    anything was heard.
    """

    def __init__(self, lost: asyncio.Event) -> None:
        self.lost = lost
        self.silent = 0
        self.refusal = ""
        """The code of the error that made us end it."""
        self.paused = False
        self.transport: asyncio.Transport
        self._reader = hiredis.Reader()
        self._asked: deque[asyncio.Future[Any]] = deque()
        self._is_open = False

    def received(self, data: bytes) -> None:
        """From `opened` on; for the heir."""
        raise NotImplementedError

    def resumed(self) -> None:
        """The transport takes more."""

    def ping(self) -> None:
        raise NotImplementedError

    def tick(self) -> int:
        """Ask for a sign of life; returns how many ticks in a row brought none."""
        silent, self.silent = self.silent, self.silent + 1
        if not self.paused:
            self.ping()
        return silent

    async def greeted(self) -> None:
        """Logged in: what else is to be asked before it opens."""

    def ask(self, *command: str | bytes) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked.append(future)
        self.transport.write(pack(*command))
        return future

    def opened(self) -> None:
        self._is_open = True

    def refuse(self, code: str) -> None:
        """End it for that error."""
        self.refusal = self.refusal or code
        self.abort()

    def abort(self) -> None:
        self.transport.abort()
        self.lost.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self.transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)

    def data_received(self, data: bytes) -> None:
        self.silent = 0
        try:
            if self._is_open:
                self.received(data)
            else:
                self._answer(data)
        except hiredis.HiredisError:  # whoever that is, it is no Redis
            self.refuse("PROTOCOL")

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()
        for future in self._asked:
            if not future.done():
                future.set_exception(
                    Refused(self.refusal) if self.refusal else ConnectionResetError()
                )
        self._asked.clear()

    def _answer(self, data: bytes) -> None:
        self._reader.feed(data)
        while self._asked and (reply := self._reader.gets()) is not False:
            future = self._asked.popleft()
            if future.done():
                continue
            if isinstance(reply, hiredis.ReplyError):
                future.set_exception(Refused(code_of(str(reply))))
            else:
                future.set_result(reply)

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        self.silent = 0  # slow perhaps, but it reads
        self.resumed()


async def open_link(
    make: Callable[[], _Link],
    address: Address,
    *,
    tls: ssl.SSLContext | None,
    login: tuple[str, str],
    name: str,
    primary: bool,
) -> _Link:
    """Raises OSError, and Refused: a wrong password, a server that loads its data, or one that
    ought to be a primary and is not. The caller sets the time limit.
    """
    host, port = address
    loop = asyncio.get_running_loop()
    _, link = await loop.create_connection(
        make, host, port, ssl=tls, server_hostname=host if tls is not None else None
    )
    try:
        await _greet(link, login=login, name=name, primary=primary)
        await link.greeted()
    except BaseException:
        link.abort()
        raise
    link.opened()
    return link


async def _greet(link: Link, *, login: tuple[str, str], name: str, primary: bool) -> None:
    user, password = login
    auth = ("AUTH", user or "default", password) if password else ()
    said = await link.ask("HELLO", "2", *auth, "SETNAME", name)
    if primary and b"master" not in said:
        raise Refused("replica")
    await link.ask("PING")  # while it loads its data HELLO is answered, PING is not


def pack(*words: str | bytes) -> bytes:
    """A command as bytes."""
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # its stub: one word
    return packed


def code_of(error: str) -> str:
    """`WRONGPASS invalid username-password pair` says the first word; the rest may hold a name."""
    return error.partition(" ")[0][:32]
