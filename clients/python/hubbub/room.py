"""A room one is in: what can be done there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from hubbub.calls.call import Call
from hubbub.calls.shapes import CallMedia
from hubbub.models import Event, Member, Page, RoomInfo, Sent

if TYPE_CHECKING:
    from hubbub.client import Client


class Room:
    """`info` is kept up to date while the client is connected.

    Commands return when the server has made them durable. Cancelling the await does not take a
    command back: it stays in the outbox until it is answered.
    """

    def __init__(self, client: Client, info: RoomInfo) -> None:
        self._client = client
        self.info = info

    def __repr__(self) -> str:
        return f"Room({self.info.name or self.id!r})"

    @property
    def id(self) -> str:
        return self.info.id

    async def send(
        self,
        text: str,
        *,
        reply_to: int | None = None,
        thread_seq: int | None = None,
        mentions: Mapping[str, Any] | None = None,
        file_ids: Sequence[str] = (),
        expires_in_s: float | None = None,
        format: Literal["plain", "markdown"] | None = None,
    ) -> Sent:
        content = {"type": "text", "body": text} | ({"format": format} if format else {})
        return await self.send_content(
            content, reply_to=reply_to, thread_seq=thread_seq, mentions=mentions,
            file_ids=list(file_ids) or None, expires_in_s=expires_in_s,
        )  # fmt: skip

    async def send_content(self, content: Mapping[str, Any], **options: Any) -> Sent:
        """A message of any content type; options as in `message:send`, None is left out."""
        given = {name: value for name, value in options.items() if value is not None}
        return await self._client.command("message:send", self.id, {"content": content, **given})

    async def edit(self, seq: int, text: str) -> Sent:
        content = {"type": "text", "body": text}
        return await self._client.command("message:edit", self.id, {"seq": seq, "content": content})

    async def delete(self, seq: int) -> Sent:
        return await self._client.command("message:delete", self.id, {"seq": seq})

    async def react(self, seq: int, emoji: str) -> Sent:
        return await self._client.command("reaction:add", self.id, {"seq": seq, "emoji": emoji})

    async def unreact(self, seq: int, emoji: str) -> Sent:
        return await self._client.command("reaction:remove", self.id, {"seq": seq, "emoji": emoji})

    async def mark_read(self, seq: int) -> None:
        """Kept and told later when there is no connection; so is `mark_delivered`."""
        await self._client.receipt(self.id, read_seq=seq)

    async def mark_delivered(self, seq: int) -> None:
        await self._client.receipt(self.id, delivered_seq=seq)

    async def typing(self, typing: bool = True) -> None:
        """Told to the others if there is a connection; ends by itself after 6 s."""
        await self._client.ephemeral("typing:set", {"room_id": self.id, "typing": typing})

    async def call(self, media: CallMedia = "audio") -> Call:
        """Ring the others, or come into the call that runs here."""
        return await self._client.calls.start(self.id, media)

    async def history(
        self,
        *,
        after: int | None = None,
        before: int | None = None,
        limit: int = 50,
        view: Literal["events", "messages"] = "events",
    ) -> Page:
        """Events with after < seq or seq < before, ascending; by default the newest."""
        query: dict[str, str | int] = {"limit": limit, "view": view}
        query |= {} if after is None else {"after": after}
        query |= {} if before is None else {"before": before}
        return await self._client.page(self.id, query)

    async def whole_log(self) -> list[Event]:
        """Every event from the first one kept to the head."""
        events: list[Event] = []
        after = 0
        while True:
            page = await self.history(after=after, limit=500)
            events += page.events
            if not page.more or not page.events:
                return events
            after = page.events[-1].seq

    async def members(self) -> list[Member]:
        found: list[Member] = []
        query: dict[str, str | int] = {"limit": 500}
        while True:
            answer = await self._client.call(
                "GET", f"/rooms/{self.id}/members", query=query, answer=_Members
            )
            found += answer.members
            if answer.next is None:
                return found
            query["after"] = answer.next

    async def add(self, user_ids: Sequence[str], *, role: str | None = None) -> list[str]:
        body = {"user_ids": list(user_ids)} | ({"role": role} if role else {})
        answer = await self._client.call(
            "POST", f"/rooms/{self.id}/members", body, answer=dict[str, list[str]]
        )
        return answer["added"]

    async def remove(self, user_id: str) -> None:
        await self._client.call("DELETE", f"/rooms/{self.id}/members/{user_id}", answer=type(None))

    async def leave(self) -> None:
        await self.remove("me")

    async def change(self, **settings: Any) -> RoomInfo:
        """name, topic, visibility, history."""
        self.info = await self._client.call("PATCH", f"/rooms/{self.id}", settings, answer=RoomInfo)
        return self.info


class _Members(msgspec.Struct):
    members: list[Member]
    next: str | None = None
