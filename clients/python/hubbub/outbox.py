"""Commands not yet acknowledged, without I/O: sent in order for each room, again after every break.

The server knows a command by (room, sender, client_id): sending it twice gives the first result, so
after a break everything without an answer is simply sent again, oldest first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from hubbub.errors import HubbubError
from hubbub.models import Sent

INTERNAL_TRIES = 5
"""`internal` may be a passing fault of the server or one that this command causes each time."""

UNAVAILABLE_FIRST_S, UNAVAILABLE_MOST_S = 0.5, 15.0


@dataclass(slots=True)
class Command:
    """One durable command. `payload` is complete but for `client_id`."""

    client_id: str
    name: str
    room_id: str
    payload: dict[str, Any]
    tries: int = 0
    not_before: float = 0.0

    @property
    def wire(self) -> dict[str, Any]:
        return {**self.payload, "room_id": self.room_id, "client_id": self.client_id}


@dataclass(frozen=True, slots=True)
class Done:
    command: Command
    sent: Sent


@dataclass(frozen=True, slots=True)
class Failed:
    command: Command
    error: HubbubError


@dataclass(frozen=True, slots=True)
class Later:
    """It stays; `reason` is the server's code."""

    command: Command
    reason: str


@dataclass(frozen=True, slots=True)
class Renew:
    """Its id is outside the server's window and it was never sent before: give it a new one."""

    command: Command
    server_now_ms: int


Verdict: TypeAlias = Done | Failed | Later | Renew
Answer: TypeAlias = Sent | HubbubError


class Outbox:
    """`window` commands of a room may be under way at once; 1 keeps their order even when the
    server refuses one for a while (a rate-limited command does not hold up later ones there).
    """

    def __init__(self, commands: Iterable[Command] = (), *, window: int = 1) -> None:
        self._rooms: dict[str, list[Command]] = {}
        self._under_way: set[str] = set()
        self._window = window
        for command in commands:
            self.add(command)

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._rooms.values())

    def __contains__(self, client_id: str) -> bool:
        return any(c.client_id == client_id for queue in self._rooms.values() for c in queue)

    def add(self, command: Command) -> None:
        self._rooms.setdefault(command.room_id, []).append(command)

    def ready(self, now: float) -> list[Command]:
        """What to send now, marked as under way."""
        out: list[Command] = []
        for queue in self._rooms.values():
            for command in queue[: self._window]:
                if command.client_id in self._under_way:
                    continue
                if command.not_before > now:
                    break
                self._under_way.add(command.client_id)
                command.tries += 1
                out.append(command)
        return out

    def next_deadline(self) -> float | None:
        """When a postponed command becomes ready."""
        waits = [
            command.not_before
            for queue in self._rooms.values()
            for command in queue[: self._window]
            if command.client_id not in self._under_way
        ]
        return min(waits, default=None)

    def answered(self, command: Command, answer: Answer, now: float) -> Verdict:
        """What the acknowledgement means for the command."""
        self._under_way.discard(command.client_id)
        if isinstance(answer, Sent):
            self._drop(command)
            return Done(command, answer)
        return self._refused(command, answer, now)

    def line_broke(self) -> None:
        """All that is under way is sent again on the next line."""
        self._under_way.clear()

    def renewed(self, command: Command, client_id: str) -> None:
        command.client_id = client_id
        command.tries = 0

    def _refused(self, command: Command, error: HubbubError, now: float) -> Verdict:
        code = error.code
        if code == "rate_limited":
            command.not_before = now + max(0.01, error.retry_after_s or 1.0)
            return Later(command, code)
        if code == "unavailable" or (code == "internal" and command.tries < INTERNAL_TRIES):
            pause = UNAVAILABLE_FIRST_S * 2.0 ** min(command.tries - 1, 10)
            command.not_before = now + (error.retry_after_s or min(pause, UNAVAILABLE_MOST_S))
            return Later(command, code)
        if code == "disconnected":
            return Later(command, code)
        if error.field == "client_id" and "now" in error.data and command.tries == 1:
            return Renew(command, int(error.data["now"]))
        self._drop(command)
        return Failed(command, error)

    def _drop(self, command: Command) -> None:
        queue = self._rooms.get(command.room_id, [])
        if command in queue:
            queue.remove(command)
        if not queue:
            self._rooms.pop(command.room_id, None)


def as_row(command: Command) -> dict[str, Any]:
    """What a journal keeps of it."""
    return {
        "client_id": command.client_id,
        "name": command.name,
        "room_id": command.room_id,
        "payload": command.payload,
    }


def from_row(row: Mapping[str, Any]) -> Command:
    """A kept command may have been sent before: `tries` starts at 1 so that its id stays."""
    return Command(row["client_id"], row["name"], row["room_id"], dict(row["payload"]), tries=1)


CommandName = Literal[
    "message:send", "message:edit", "message:delete", "reaction:add", "reaction:remove"
]
