"""This node's presence beside that of the others: what is said, heard, and left by the dead."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from server.kernel.clock import Clock
from server.kernel.config import Cluster
from server.kernel.ids import NodeId, UserId
from server.kernel.tasks import TaskOwner
from server.presence.hearing import Listener
from server.presence.leftovers import Leftovers
from server.presence.signals import Input, Say
from server.presence.speaking import Speaker
from server.presence.state import Presence
from storage.api import Accounts, Fanout, SharedPresence

HOLD_BEATS = 2
"""Once the shared store was away or forgot all, each node has put its own again by then."""


class Neighbours:
    """While the shared store is away this node's users go on as before, and of others the last
    word counts. None of its calls raises.
    """

    def __init__(
        self,
        core: Presence,
        feed: Callable[[Input], None],
        watched: Callable[[UserId], bool],
        *,
        node_id: NodeId,
        presence: SharedPresence,
        fanout: Fanout,
        accounts: Accounts,
        clock: Clock,
        tasks: TaskOwner,
        config: Cluster,
    ) -> None:
        self._core = core
        self._clock = clock
        self._say_again_at = float("inf")
        self._hold_s = HOLD_BEATS * config.beat_s
        self._speaker = Speaker(presence, fanout, node_id, clock=clock, tasks=tasks)
        self._leftovers = Leftovers(
            node_id, presence, accounts, feed=feed,
            settings_changed=self.settings_changed, clock=clock, tasks=tasks,
            dead_after_s=config.dead_after_s,
        )  # fmt: skip
        self._listener = Listener(
            core, feed, presence=presence, fanout=fanout, accounts=accounts, watched=watched,
            heard_of=self._leftovers.heard_of, restored=self._restored, clock=clock, tasks=tasks,
        )  # fmt: skip

    # ---- this node's users -----------------------------------------------------------------------

    def say(self, say: Say) -> None:
        self._speaker.say(say)

    def settings_changed(self, user_id: UserId) -> None:
        """His row was written by this node."""
        self._speaker.settings_changed(user_id)
        self._listener.settings_changed(user_id)

    def want(self, user_ids: Iterable[UserId]) -> None:
        """Hear of these (who have sockets here) from now on."""
        self._listener.want(user_ids)

    async def learn(self, user_ids: Collection[UserId]) -> None:
        """The core then knows these, who are watched here, unless a store is away."""
        await self._listener.learn(user_ids)

    def drop(self, user_id: UserId) -> None:
        self._listener.drop(user_id)

    async def finish(self, now_ms: int) -> None:
        """This node ends: its users have no devices here any more."""
        for user_id in self._core.here():
            row = self._core.row(user_id)
            hidden = row is None or row.status == "invisible"
            self._speaker.say(Say(user_id, None, None if hidden else now_ms))
        await self._speaker.finish()

    # ---- the cluster -----------------------------------------------------------------------------

    def nodes_changed(self, alive: Collection[NodeId]) -> None:
        self._leftovers.nodes_changed(alive)
        self._listener.again()

    def forgotten(self) -> None:
        """The shared store knows nothing of us any more. What is put again now may still be cleared
        away by somebody who has just found us dead, so it is said once more when nobody can.
        """
        self._say_all()
        self._say_again_at = self._clock.monotonic() + self._hold_s
        self._listener.hold(self._hold_s)

    def _say_all(self) -> None:
        for user_id in self._core.here():
            self._speaker.say(Say(user_id, self._core.level(user_id)))

    def _restored(self) -> None:
        self._speaker.repeat()
        self._listener.hold(self._hold_s)

    def tick(self) -> None:
        if self._clock.monotonic() >= self._say_again_at:
            self._say_again_at = float("inf")
            self._say_all()
        self._speaker.tick()
        self._listener.tick()
        self._leftovers.tick()
