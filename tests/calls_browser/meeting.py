"""Two foreigners who know each other, and what a call between them must show."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from tests.calls_browser.conftest import Evaluating, Foreigner, Town, eventually

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

    def calls(self, media: str = "video", **options: object) -> Any:
        """Anna calls, Ben accepts at the first ring. Both use the same options."""
        self.ben.does("accepts", options)
        return self.anna.does("starts", self.room_id, media, options)["call"]

    def see_and_hear_each_other(self) -> None:
        for person in self.people:
            eventually(lambda who=person: _media_came(who.stats()), person.stats)

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
