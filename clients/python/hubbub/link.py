"""Keeps a client connected: sync after every break, holes closed, outbox emptied, in a loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import aiohttp

from hubbub.api import Api
from hubbub.backoff import Backoff
from hubbub.calls.api import Calls
from hubbub.errors import HubbubError, LineBroken, NotFound, RateLimited, Unauthorized
from hubbub.feed import Feed
from hubbub.ids import ClientIds
from hubbub.inbox import Inbox
from hubbub.journal import Journal
from hubbub.line import Line
from hubbub.models import (
    CommandDone,
    CommandRefused,
    Connected,
    Disconnected,
    Item,
    Page,
    RoomInfo,
    Sent,
    SessionEnded,
    SyncAnswer,
)
from hubbub.outbox import Answer, Command, Done, Failed, Outbox, Renew, Verdict
from hubbub.room import Room

if TYPE_CHECKING:
    from hubbub.client import Client

ACK_S = 20.0
"""A durable command without an answer for this long: the line counts as dead."""

SYNC_S = 60.0
LOGIN_AGAIN = frozenset({"revoked", "reused", "password_changed"})


class Link:
    """Owns the tasks of one client. All state changes happen on its loop."""

    def __init__(
        self, client: Client, http: aiohttp.ClientSession, api: Api, journal: Journal,
        ids: ClientIds, transport: str, window: int,
    ) -> None:  # fmt: skip
        self._client, self._http, self._api = client, http, api
        self._journal, self._ids, self._transport = journal, ids, transport
        self.outbox = Outbox(journal.commands(), window=window)
        self.callbacks: list[Callable[[Item], None]] = []
        self.watched: list[str] = []
        self._inbox = Inbox(client, journal, self._emit)
        self._feeds: list[Feed] = []
        self._receipts: dict[str, dict[str, int]] = {}
        self._waiters: dict[str, asyncio.Future[Sent]] = {}
        self._wake = asyncio.Event()
        self._line: Line | None = None
        self._task: asyncio.Task[None] | None = None
        self._sends: set[asyncio.Task[None]] = set()
        self._over: str | None = None
        self._trouble = "no answer"

    @property
    def rooms(self) -> dict[str, Room]:
        return self._inbox.rooms

    @property
    def calls(self) -> Calls:
        return self._inbox.calls

    @property
    def connected(self) -> bool:
        return self._line is not None

    def feed(self) -> Feed:
        feed = Feed()
        self._feeds.append(feed)
        return feed

    def close_feeds(self) -> None:
        for feed in self._feeds:
            feed.close()

    def known(self, info: RoomInfo) -> Room:
        return self._inbox.known(info)

    # ---- start and stop ----

    async def start(self, timeout_s: float) -> None:
        up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._task is None or self._task.done():
            self._over = None
            self._task = asyncio.create_task(self._stay_connected(up), name="hubbub.link")
        elif self.connected:
            return
        try:
            await asyncio.wait_for(asyncio.shield(up), timeout_s)
        except TimeoutError:
            raise LineBroken(f"no connection to {self._client.url}: {self._trouble}") from None

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        for waiter in self._waiters.values():
            if not waiter.done():
                waiter.set_exception(LineBroken("the client was stopped; the command is kept"))
        self._waiters.clear()

    async def _stay_connected(self, up: asyncio.Future[None]) -> None:
        backoff = Backoff()
        while self._over is None:
            try:
                await self._one_line(backoff, up)
            except Unauthorized as error:
                self._end_session("unauthorized", error, up)
            except (HubbubError, OSError, ValueError) as error:
                self._trouble = self._over or str(error) or type(error).__name__
                self._emit(Disconnected(self._trouble))
                if self._over is None:
                    pause = getattr(error, "retry_after_s", None) or 0.0
                    await asyncio.sleep(pause + backoff.next_delay_s())
        if not up.done():
            up.set_exception(Unauthorized(f"The session ended: {self._over}."))
            up.exception()

    def _end_session(
        self, reason: str, error: Unauthorized, up: asyncio.Future[None] | None = None
    ) -> None:
        self._over = reason
        self._emit(SessionEnded(reason))
        if up is not None and not up.done():
            up.set_exception(error)
            up.exception()
        for waiter in self._waiters.values():
            if not waiter.done():
                waiter.set_exception(error)
        self._waiters.clear()

    # ---- one connection ----

    async def _one_line(self, backoff: Backoff, up: asyncio.Future[None]) -> None:
        line = await self._open()
        tasks = [asyncio.create_task(line.run(self._hear), name="hubbub.reader")]
        try:
            self._inbox.line_opened()
            tasks.append(asyncio.create_task(self._serve(line, backoff, up), name="hubbub.serve"))
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._line = None
            for task in (*tasks, *self._sends):
                task.cancel()
            await line.close()
            await asyncio.gather(*tasks, *self._sends, return_exceptions=True)
            self.outbox.line_broke()

    async def _open(self) -> Line:
        token = await self._api.token()
        try:
            return await Line.open(self._http, self._client.url, token, transport=self._transport)
        except Unauthorized:
            fresh = await self._api.token(stale=token)
            return await Line.open(self._http, self._client.url, fresh, transport=self._transport)

    async def _serve(self, line: Line, backoff: Backoff, up: asyncio.Future[None]) -> None:
        await self._sync(line)
        self._line = line
        backoff.succeeded()
        self._emit(Connected())
        if not up.done():
            up.set_result(None)
        await self._again(line)
        pages = asyncio.create_task(self._close_holes(), name="hubbub.pages")
        sends = asyncio.create_task(self._send_ready(line), name="hubbub.sends")
        try:
            await asyncio.gather(pages, sends)
        finally:
            pages.cancel()
            sends.cancel()

    async def _sync(self, line: Line) -> None:
        after: str | None = None
        while True:
            payload = self._inbox.sync_request(after)
            try:
                answer = await line.request("sync", payload, SyncAnswer, SYNC_S)
            except RateLimited as error:
                await asyncio.sleep(error.retry_after_s or 1.0)
                continue
            self._inbox.sync_answer(answer)
            after = answer.next
            if after is None:
                self._inbox.sync_done()
                return

    async def _again(self, line: Line) -> None:
        """What a new connection must be told once more."""
        await self.calls.come_back(lambda name, payload: line.request(name, payload, dict, ACK_S))
        if self.watched:
            await self._try(line, "presence:watch", {"user_ids": self.watched})
        for room_id in list(self._receipts):
            marks = self._receipts.pop(room_id)
            await self._try(line, "receipt:set", {"room_id": room_id, **marks})

    async def _try(self, line: Line, name: str, payload: Mapping[str, Any]) -> None:
        try:
            await line.request(name, payload, dict[str, Any], ACK_S)
        except LineBroken:
            raise
        except HubbubError:
            return

    async def _close_holes(self) -> None:
        while True:
            self._inbox.lagging = self._backlog() > self._inbox.backlog_most
            for room_id, after in self._inbox.wanted():
                try:
                    page = await self._client.page(room_id, {"after": after, "limit": 500})
                    if page.log_id != self._inbox.log_id(room_id):
                        page = await self._client.page(room_id, {"limit": 100})
                except NotFound:
                    self._inbox.forget(room_id, "removed")
                    continue
                self._take_page(room_id, page)
            if not self._inbox.wanted():
                await self._inbox.wait_for_holes(0.05 if self._inbox.lagging else None)

    def _take_page(self, room_id: str, page: Page) -> None:
        self._inbox.page(room_id, page)

    # ---- the outbox ----

    async def command(self, name: str, room_id: str, payload: dict[str, Any]) -> Sent:
        if self._over is not None or self._api.session is None:
            raise Unauthorized("Log in first.")
        command = Command(self._ids.new(), name, room_id, payload)
        waiter: asyncio.Future[Sent] = asyncio.get_running_loop().create_future()
        self._journal.put(command)
        self._waiters[command.client_id] = waiter
        self.outbox.add(command)
        self._wake.set()
        return await waiter

    async def _send_ready(self, line: Line) -> None:
        while True:
            self._wake.clear()
            for command in self.outbox.ready(time.monotonic()):
                task = asyncio.create_task(self._send(line, command), name="hubbub.send")
                self._sends.add(task)
                task.add_done_callback(self._sends.discard)
            deadline = self.outbox.next_deadline()
            try:
                pause = None if deadline is None else max(0.0, deadline - time.monotonic())
                await asyncio.wait_for(self._wake.wait(), pause)
            except TimeoutError:
                continue

    async def _send(self, line: Line, command: Command) -> None:
        answer: Answer
        try:
            answer = await line.request(command.name, command.wire, Sent, ACK_S)
        except HubbubError as error:
            answer = error
        self._settle(self.outbox.answered(command, answer, time.monotonic()))
        if isinstance(answer, LineBroken):
            await line.close()
        self._wake.set()

    def _settle(self, verdict: Verdict) -> None:
        client_id = verdict.command.client_id
        match verdict:
            case Done(_, sent):
                self._journal.drop(client_id)
                waiter = self._waiters.pop(client_id, None)
                if waiter is None:
                    self._emit(CommandDone(client_id, sent))
                elif not waiter.done():
                    waiter.set_result(sent)
            case Failed(_, error):
                self._journal.drop(client_id)
                waiter = self._waiters.pop(client_id, None)
                if waiter is None:
                    self._emit(CommandRefused(client_id, error.code, error.text))
                elif not waiter.done():
                    waiter.set_exception(error)
            case Renew(command, now_ms):
                self._renew(command, now_ms)
            case _:
                pass

    def _renew(self, command: Command, server_now_ms: int) -> None:
        old = command.client_id
        self._ids.learn(server_now_ms)
        self.outbox.renewed(command, self._ids.new())
        self._journal.put(command)
        self._journal.drop(old)
        if old in self._waiters:
            self._waiters[command.client_id] = self._waiters.pop(old)

    # ---- plain requests ----

    async def request(self, name: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        if self._line is None:
            raise LineBroken("not connected")
        return await self._line.request(name, payload, dict[str, Any], ACK_S)

    async def receipt(self, room_id: str, read_seq: int | None, delivered_seq: int | None) -> None:
        marks = self._receipts.pop(room_id, {})
        for name, seq in (("read_seq", read_seq), ("delivered_seq", delivered_seq)):
            if seq is not None:
                marks[name] = max(seq, marks.get(name, 0))
        try:
            await self.request("receipt:set", {"room_id": room_id, **marks})
        except LineBroken:
            self._receipts[room_id] = marks

    # ---- what is heard ----

    def _hear(self, name: str, payload: bytes) -> None:
        ended = self._inbox.hear(name, payload)
        if ended is None:
            return
        if ended in LOGIN_AGAIN:
            self._end_session(ended, Unauthorized(f"The session ended: {ended}."))
            self._api.start(None)
        else:
            self._emit(SessionEnded(ended))

    def _backlog(self) -> int:
        return max((feed.backlog for feed in self._feeds if not feed.closed), default=0)

    def _emit(self, item: Item) -> None:
        for feed in self._feeds:
            if not feed.closed:
                feed.put(item)
        for callback in self.callbacks:
            callback(item)
        if self._backlog() > self._inbox.backlog_most:
            self._inbox.lagging = True
