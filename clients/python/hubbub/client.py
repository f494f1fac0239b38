"""The client: log in, connect, hear everything once, send what must not be lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeVar

import aiohttp
import msgspec

from hubbub.api import Api
from hubbub.calls.api import Calls
from hubbub.errors import LineBroken, Unauthorized
from hubbub.feed import Feed
from hubbub.ids import ClientIds
from hubbub.journal import FileJournal, Journal, MemoryJournal
from hubbub.link import Link
from hubbub.models import (
    Item,
    OwnSession,
    Page,
    Presence,
    RoomInfo,
    Sent,
    ServerInfo,
    Session,
    User,
)
from hubbub.room import Room

T = TypeVar("T")


class Client:
    """One login of one user.

    Args:
        url: the server's address, `http://host:port`.
        state: a file that keeps session, place in each room and outbox between runs; None: memory.
        transport: `polling` only where no WebSocket gets through.
        window: commands of one room under way at once; 1 keeps their order in every case.
    """

    def __init__(
        self,
        url: str,
        *,
        state: Path | str | None = None,
        transport: Literal["websocket", "polling"] = "websocket",
        window: int = 1,
    ) -> None:
        self.url = url.rstrip("/")
        self._journal: Journal = MemoryJournal() if state is None else FileJournal(state)
        self._http = aiohttp.ClientSession()
        self._api = Api(self._http, self.url, on_session=self._journal.keep_session)
        self._ids = ClientIds()
        self._link = Link(self, self._http, self._api, self._journal, self._ids, transport, window)
        kept = self._journal.session()
        if kept is not None:
            self._api.resume(kept)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self.close()

    # ---- the account ----

    @property
    def session(self) -> Session | None:
        """None: log in first."""
        return self._api.session

    @property
    def me(self) -> User:
        if self.session is None:
            raise Unauthorized("Log in first.")
        return self.session.user

    async def server_info(self) -> ServerInfo:
        """Also sets the clock that command ids are dated by."""
        info = await self._api.call("GET", "/server", answer=ServerInfo, login=False)
        if info.now is not None:
            self._ids.learn(info.now)
        return info

    async def sign_up(self, username: str, password: str, **more: str | None) -> Session:
        """Make an account and log in. `more`: display_name, email, invite."""
        body = {"username": username, "password": password, **_given(more)}
        return await self._log_in("/accounts", body)

    async def log_in(
        self,
        username: str,
        password: str,
        *,
        totp: str | None = None,
        device_id: str | None = None,
        device_name: str = "Python",
    ) -> Session:
        """Raises Unauthorized, with `field` "totp" where a second factor is asked for."""
        body = {
            "username": username, "password": password, "totp": totp, "device_id": device_id,
            "device_name": device_name, "platform": "python",
        }  # fmt: skip
        return await self._log_in("/sessions", _given(body))

    def resume(self, session: Session) -> None:
        """Go on with a session that was kept or handed over."""
        self._api.start(session)

    async def log_out(self) -> None:
        await self.call("DELETE", "/sessions/current", answer=type(None))
        await self._link.stop()
        self._api.start(None)

    async def sessions(self) -> list[OwnSession]:
        answer = await self.call("GET", "/sessions", answer=dict[str, list[OwnSession]])
        return answer["sessions"]

    async def revoke(self, session_id: str) -> None:
        await self.call("DELETE", f"/sessions/{session_id}", answer=type(None))

    async def users(self, query: str) -> list[User]:
        answer = await self.call(
            "GET", "/users", query={"query": query}, answer=dict[str, list[User]]
        )
        return answer["users"]

    async def user(self, user_id: str) -> User:
        return await self.call("GET", f"/users/{user_id}", answer=User)

    # ---- the line ----

    @property
    def connected(self) -> bool:
        return self._link.connected

    def events(self) -> Feed:
        """Everything heard from now on. Make it before `connect` to miss nothing."""
        return self._link.feed()

    def on(self, callback: Callable[[Item], None]) -> None:
        """Call `callback` with every item, in order, at once. It must neither block nor raise."""
        self._link.callbacks.append(callback)

    async def connect(self, *, timeout_s: float = 30.0) -> None:
        """Return when everything missed was handed out; from then on stay connected.

        Raises Unauthorized when the session is over, LineBroken when there is no server in time
        (the client goes on trying until it is closed).
        """
        await self._link.start(timeout_s)

    async def disconnect(self) -> None:
        await self._link.stop()

    async def close(self) -> None:
        """Unacknowledged commands stay in the state file, if there is one."""
        await self._link.stop()
        self.calls.close()
        self._link.close_feeds()
        await self._http.close()
        self._journal.close()

    # ---- rooms ----

    @property
    def rooms(self) -> dict[str, Room]:
        """Rooms one is in, as of the last sync and what came since."""
        return self._link.rooms

    def room(self, room_id: str) -> Room:
        """Raises KeyError for a room one is not in (or before `connect`)."""
        return self._link.rooms[room_id]

    async def create_room(
        self, kind: str = "group", *, name: str | None = None, member_ids: Sequence[str] = (),
        visibility: str | None = None, history: str | None = None,
    ) -> Room:  # fmt: skip
        body = {"kind": kind, "name": name, "member_ids": list(member_ids) or None,
                "visibility": visibility, "history": history}  # fmt: skip
        info = await self.call("POST", "/rooms", _given(body), answer=RoomInfo)
        return self._link.known(info)

    async def direct(self, user_id: str) -> Room:
        """The direct room with a user, made if there was none."""
        return await self.create_room("direct", member_ids=[user_id])

    async def join(self, room_id: str) -> Room:
        """Come into a public room."""
        await self.call(
            "POST", f"/rooms/{room_id}/members", {"user_ids": [self.me.id]}, answer=dict
        )
        return self._link.known(await self.call("GET", f"/rooms/{room_id}", answer=RoomInfo))

    # ---- calls ----

    @property
    def calls(self) -> Calls:
        """Start, answer, and what rings."""
        return self._link.calls

    # ---- presence ----

    async def set_status(self, status: str, text: str | None = None) -> None:
        await self.request("presence:set", _given({"status": status, "text": text}))

    async def watch(self, user_ids: Sequence[str]) -> dict[str, Presence]:
        """Hear of these users' presence from now on; asked for again after every break."""
        self._link.watched = list(user_ids)
        answer = await self.request("presence:watch", {"user_ids": list(user_ids)})
        return msgspec.convert(answer["presence"], dict[str, Presence])

    # ---- what rooms and others build on ----

    async def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str | int] | None = None,
        answer: type[T],
    ) -> T:
        """Any call below /api/v1, as the logged-in user."""
        return await self._api.call(method, path, body, query=query, answer=answer)

    async def request(self, name: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Any socket event; its `data`. Raises LineBroken when there is no connection."""
        return await self._link.request(name, payload)

    async def command(self, name: str, room_id: str, payload: dict[str, Any]) -> Sent:
        """A durable command: put into the outbox, sent until it is answered."""
        return await self._link.command(name, room_id, payload)

    async def receipt(
        self, room_id: str, *, read_seq: int | None = None, delivered_seq: int | None = None
    ) -> None:
        await self._link.receipt(room_id, read_seq, delivered_seq)

    async def ephemeral(self, name: str, payload: Mapping[str, Any]) -> None:
        """An event worth nothing later: dropped without a connection."""
        if self.connected:
            try:
                await self.request(name, payload)
            except LineBroken:
                return

    async def page(self, room_id: str, query: Mapping[str, str | int]) -> Page:
        return await self.call("GET", f"/rooms/{room_id}/events", query=query, answer=Page)

    async def _log_in(self, path: str, body: Mapping[str, Any]) -> Session:
        await self.server_info()
        session = await self._api.call("POST", path, body, answer=Session, login=False)
        self._api.start(session)
        return session


def _given(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
