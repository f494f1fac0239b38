"""What sockets hear of calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from server.kernel.ids import NodeId
from server.kernel.json import encode
from server.kernel.outlet import Outlet
from signaling.outputs import At, Carried, Rung, Told, ToRoom, ToUser

Forward = Callable[[At, str, bytes], None]
"""(socket at another node, event name, payload in JSON)"""


class Delivery:
    """`outlet` reaches rooms and users at all nodes, sockets at this one; `forward` the others."""

    def __init__(self, outlet: Outlet, node_id: NodeId, forward: Forward | None = None) -> None:
        self._outlet = outlet
        self._node_id = node_id
        self._forward = forward

    def ring(self, rung: Rung) -> None:
        payload = {"call": rung.call, "expires_at": rung.expires_at}
        if rung.only is not None:
            self._to_socket(rung.only, "call:ringing", payload)
        else:
            self._outlet.to_users(rung.user_ids, "call:ringing", payload)

    def tell(self, told: Told) -> None:
        payload = {"call": told.call}
        match told.to:
            case ToRoom(room_id, without):
                self._outlet.to_room(room_id, "call:state", payload, without=without)
                # An answer waits for no companions: what comes next must not overtake this.
                self._outlet.flush(room_id)
            case ToUser(user_id, without_at):
                but = None if without_at is None else without_at.socket_id
                self._outlet.to_users([user_id], "call:state", payload, without=but)
            case At():
                self._to_socket(told.to, "call:state", payload)

    def carry(self, carried: Carried) -> None:
        payload = {
            "call_id": carried.call_id,
            "from_device_id": carried.from_device_id,
            "signal": msgspec.Raw(carried.signal),
        }
        self._to_socket(carried.to, "call:signal", payload)

    def _to_socket(self, at: At, name: str, payload: dict[str, Any]) -> None:
        if at.node_id == self._node_id:
            self._outlet.to_socket(at.socket_id, name, payload)
        elif self._forward is not None:
            self._forward(at, name, encode(payload))
