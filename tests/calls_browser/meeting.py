"""Two foreigners who know each other, and what a call between them must show."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from tests.calls_browser.conftest import Evaluating, Foreigner, Town, eventually

Options = dict[str, object]
"""As `foreign.js` has them."""
FRAMES = 15
PACKETS = 50
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Pair:
    """`anna` lives left, `ben` right; they share a direct room."""

    anna: Foreigner
    ben: Foreigner
    room_id: str

    @property
    def people(self) -> tuple[Foreigner, Foreigner]:
        return self.anna, self.ben

    @property
    def turned(self) -> Pair:
        """Ben is the one who calls."""
        return Pair(self.ben, self.anna, self.room_id)

    def calls(
        self, options: Options | None = None, *, answering: Options | None = None
    ) -> dict[str, Any]:
        """Anna makes a video call, Ben accepts at the first ring: with the same options, unless
        other ones are named for him.
        """
        options = options or {}
        self.ben.does("accepts", options if answering is None else answering)
        call: dict[str, Any] = self.anna.does("starts", self.room_id, "video", options)["call"]
        return call

    def see_and_hear_each_other(self) -> None:
        def stats() -> list[Any]:
            return [person.stats() for person in self.people]

        eventually(lambda: all(map(_media_came, stats())), stats)

    def part(self) -> None:
        for person in self.people:
            person.does("parts")


def meet(town: Town, left: Evaluating, right: Evaluating) -> Pair:
    """Both sign up anew, in a fresh page."""
    number = next(_numbers)
    people = []
    for name, tab in (("anna", left), ("ben", right)):
        tab.goto(town.page + "/")
        person = Foreigner(name, tab)
        person.joins(town.hub, f"{name}{number}")
        people.append(person)
    anna, ben = people
    room = anna.http("POST", "/api/v1/rooms", {"kind": "direct", "member_ids": [ben.user_id]})
    return Pair(anna, ben, room["id"])


def _media_came(stats: Any) -> bool:
    video, audio = stats.get("video"), stats.get("audio")
    return bool(
        stats.get("pair") and video and audio
        and (video["frames"] or 0) >= FRAMES and audio["packets"] >= PACKETS
    )  # fmt: skip


def path_of(person: Foreigner) -> str:
    """How what the person says leaves: "direct by udp", "relay by tls", ..."""
    local = person.stats()["pair"]["local"]
    if local["candidateType"] == "relay":
        return f"relay by {local['relayProtocol']}"
    return f"direct by {local['protocol']}"


def relayed(transport: str, host: str) -> Options:
    """Nothing but our TURN, by that transport, under the address of that kind."""
    return {"policy": "relay", "via": {"transport": transport, "host": host}}
