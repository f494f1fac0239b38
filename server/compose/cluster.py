"""A node's part in a cluster: who else is there, and how chat and presence reach them."""

from __future__ import annotations

import os
import socket

from server.accounts.wiring import AccountsPart, program_version
from server.chat.relay.relay import Relay
from server.hub.hub import Hub
from server.kernel.clock import Clock
from server.kernel.config import Config
from server.kernel.ids import NodeId
from server.kernel.tasks import TaskOwner
from server.nodes.ports import Ports
from server.nodes.watch import NodeWatch
from server.presence.wiring import PresencePart
from storage.api import Node, Shared, Store


def new_node_id() -> NodeId:
    """Unique for each start of each process: what a dead node left is never taken for ours."""
    return NodeId(f"{socket.gethostname()[:24]}-{os.getpid()}-{os.urandom(4).hex()}")


class ClusterPart:
    """Made before chat and presence; `start` after them."""

    def __init__(
        self,
        config: Config,
        store: Store,
        shared: Shared,
        *,
        node_id: NodeId,
        hub: Hub,
        accounts: AccountsPart,
        clock: Clock,
        tasks: TaskOwner,
    ) -> None:
        ports = Ports(shared.fanout)
        self.node_id = node_id
        self.shared = shared
        self.presence_port = ports.open("p")
        self.calls_port = ports.open("c")
        node = Node(
            node_id, clock.now_ms(), program_version(), accounts.features, config.cluster.roles
        )
        self.watch = NodeWatch(node, shared.nodes, clock=clock, tasks=tasks, config=config.cluster)
        self.relay = Relay(
            store, hub.outlet, node_id=node_id,
            rooms=ports.open("r"), users=ports.open("u"), sessions=ports.open("s"),
            commands=ports.open("n"), hubs=lambda: self.watch.of_role("hub"),
            limits=config.limits, alive=self._alive, clock=clock, tasks=tasks,
        )  # fmt: skip
        self.relay.wide.on_ended.append(accounts.authenticator.forget)
        accounts.attach_outlet(self.relay.wide)
        accounts.share_limits(shared.limits)
        hub.share_limits(shared.limits, tasks)
        accounts.announced = lambda: self.watch.features

    async def start(self, presence: PresencePart) -> None:
        self.watch.on_change(presence.nodes_changed)
        self.watch.on_forgotten(presence.forgotten)
        self.watch.on_forgotten(self.relay.forgotten)
        await self.watch.start()
        presence.nodes_changed(self.watch.alive)
        await self.relay.start()

    async def close(self) -> None:
        await self.watch.close()
        await self.shared.close()

    def leads(self) -> bool:
        """Whether this node, of all, does what time brings to the logs."""
        return self.watch.first("worker") == self.node_id

    def _alive(self) -> tuple[NodeId, ...] | None:
        return self.watch.alive if self.watch.reached else None
