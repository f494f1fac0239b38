"""The call core: what clients ask and what happens goes in, what is to be done comes out."""

from __future__ import annotations

from server.kernel.ids import NodeId, RoomId, UserId
from signaling.call import Call
from signaling.commands import Commands
from signaling.happenings import Happenings
from signaling.inputs import Caller, Input, Moment
from signaling.outputs import Output
from signaling.register import Register
from signaling.rules import CallLimits


class Switchboard:
    """All calls of a process. Outputs are to be done in their order; a command's first output is
    its answer.
    """

    def __init__(self, limits: CallLimits | None = None) -> None:
        self._register = Register()
        commands = Commands(self._register, limits or CallLimits())
        self._steps = {**commands.steps, **Happenings(self._register).steps}

    def handle(self, event: Input, now: Moment) -> list[Output]:
        return self._steps[type(event)](event, now)

    def next_deadline(self) -> float | None:
        """When `Tick` is due; monotonic seconds."""
        return self._register.next_deadline()

    def __len__(self) -> int:
        """Calls that have not ended."""
        return len(self._register)

    def call(self, call_id: str) -> Call | None:
        """Also for a while after its end. Not to be changed."""
        return self._register.calls.get(call_id)

    def running(self, room_id: RoomId) -> Call | None:
        return self._register.running(room_id)

    def joined(self, user_id: UserId) -> list[Call]:
        return self._register.joined(user_id)

    def present(self) -> dict[NodeId, list[Caller]]:
        """The sockets through which devices are in calls, by node."""
        found: dict[NodeId, list[Caller]] = {}
        for call in self._register.open():
            for each in call.devices.values():
                if each.state != "away":
                    by = Caller(each.user_id, each.device_id, each.at.socket_id, each.at.node_id)
                    found.setdefault(each.at.node_id, []).append(by)
        return found

    def drop(self, call_id: str) -> None:
        """It is another node's from now on: nothing is told."""
        self._register.drop(call_id)
