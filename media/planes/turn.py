"""TURN on real sockets: carries between `TurnServer` and whatever clients come by."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial

from media.planes.datagrams import DatagramSocket, bind_all
from media.turn import exchange as x
from media.turn.server import TurnServer
from media.turn.settings import TurnSettings
from media.wire.addresses import Address
from server.kernel.logs import get_logger

log = get_logger(__name__)

Send = Callable[[bytes, Address], object]


class TurnPlane:
    """One TURN server in a running loop. Whoever owns a socket that clients use asks for a `port`
    and gives it their datagrams: a listener of its own, or one that shares its socket with ICE,
    DTLS and RTP and tells them apart by the first byte (RFC 7983).
    """

    def __init__(self, settings: TurnSettings) -> None:
        self._loop = asyncio.get_running_loop()
        self._core = TurnServer(
            settings, random_bytes=os.urandom, unix_at_zero=time.time() - self._loop.time()
        )
        self._relays: dict[int, DatagramSocket] = {}
        self._ports: dict[int, Send] = {}
        self._numbers = 0
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        """When the timer is to run. Its own `when` is missing under uvloop for what is due now."""
        self.drops: Counter[str] = self._core.drops

    @property
    def allocations(self) -> int:
        return self._core.allocations

    def port(self, send: Send) -> TurnPort:
        """For one UDP socket, or one connection. `send` must neither block nor raise."""
        self._numbers += 1
        self._ports[self._numbers] = send
        return TurnPort(self, self._core, self._relays, number=self._numbers)

    def give(self, given: x.Input) -> None:
        """One input to the core, and everything that follows from it."""
        now = self._loop.time()
        self._core.unix_at_zero = time.time() - now
        for output in self._core.handle(given, now):
            self._perform(output)
        self._arm()

    def forget(self, port: int) -> None:
        self._ports.pop(port, None)

    def close(self) -> None:
        """Relay sockets and the timer; the ports' sockets are their owners', who may still report
        that they are gone.
        """
        if self._timer is not None:
            self._timer.cancel()
        for relay in self._relays.values():
            relay.close()
        self._relays.clear()
        self._ports.clear()

    def _perform(self, output: x.Output) -> None:
        match output:
            case x.ToClient((port, client), data):
                self._answer(port, client, data)
            case x.ToPeer(relay, peer, data, fragment):
                socket = self._relays[relay]
                (socket.send_unfragmented if fragment else socket.send)(data, peer)
            case x.OpenRelays():
                self._open(output)
            case x.CloseRelay(relay):
                closed = self._relays.pop(relay, None)
                if closed is not None:
                    closed.close()
            case x.AllocationOpened(number, user_id):
                log.info("turn.allocation_opened", allocation=number, user_id=user_id)
            case x.AllocationClosed():
                log.info(
                    "turn.allocation_closed", allocation=output.allocation,
                    user_id=output.user_id, reason=output.reason,
                    bytes=output.relayed_bytes, lasted_s=round(output.lasted_s, 1),
                )  # fmt: skip

    def _answer(self, port: int, client: Address, data: bytes) -> None:
        send = self._ports.get(port)
        if send is not None:
            send(data, client)

    def _open(self, wanted: x.OpenRelays) -> None:
        bound = bind_all(wanted.host, wanted.ports)
        if bound is None:
            self.give(x.RelaysRefused(wanted.relays))
            return
        for relay, one in zip(wanted.relays, bound, strict=True):
            opened = DatagramSocket(one, loop=self._loop, drops=self.drops)
            opened.allow_fragments()
            opened.read(partial(self._from_peer, relay))
            self._relays[relay] = opened
        self.give(x.RelaysOpened(wanted.relays))

    def _from_peer(self, relay: int, data: bytes, peer: Address) -> None:
        back = self._core.from_peer(relay, peer, data, self._loop.time())
        if back is not None:
            (port, client), message = back
            self._ports[port](message, client)

    def _arm(self) -> None:
        deadline = self._core.next_deadline()
        if deadline is None or (self._timer is not None and self._due <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._due = deadline
        self._timer = self._loop.call_at(deadline, self._tick)

    def _tick(self) -> None:
        self._timer = None
        for output in self._core.tick(self._loop.time()):
            self._perform(output)
        self._arm()


class TurnPort:
    """Where the datagrams of one socket (or the messages of one connection) come in."""

    def __init__(
        self,
        plane: TurnPlane,
        core: TurnServer,
        relays: Mapping[int, DatagramSocket],
        *,
        number: int,
    ) -> None:
        self._plane = plane
        self._core = core
        self._relays = relays
        self._number = number
        self._time = asyncio.get_running_loop().time

    def datagram(self, data: bytes, address: Address) -> None:
        """STUN or ChannelData; anything else is counted and dropped."""
        # As `is_channel` says, without the call: here comes every packet.
        if data and data[0] & 0xC0 == 0x40:
            out = self._core.channel_data((self._number, address), data, self._time())
            if out is not None:
                relay, peer, payload = out
                self._relays[relay].send(payload, peer)
            return
        self._plane.give(x.FromClient((self._number, address), data))

    def holds(self, address: Address) -> bool:
        """Whether this client has an allocation."""
        return self._core.holds((self._number, address))

    def opened(self, address: Address) -> None:
        """It is a connection of this client's."""
        self._plane.give(x.FlowOpened((self._number, address)))

    def closed(self, address: Address) -> None:
        """The connection is gone: its allocation ends, and this port."""
        self._plane.give(x.FlowClosed((self._number, address)))
        self._plane.forget(self._number)
