"""Pictures and sound of a call: a peer for each other device. Needs aiortc (`hubbub[calls]`).

call = await client.calls.accept(call_id)
await MediaCall(call, lambda: Echo(), accepted=True).run()
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from hubbub.calls.call import Call
from hubbub.calls.shapes import CallChanged, CallSignal
from hubbub.calls.signals import Signal, read_signal
from hubbub.errors import HubbubError, LineBroken, RateLimited

if TYPE_CHECKING:
    from hubbub.calls.peer import Media, Peer

PEERS_MOST = 4
"""Two talk; while somebody changes his device there are three. The rest goes through an SFU."""

WAITING_MOST = 256
STRANGERS_MOST = 64
"""Signals of devices that no state has named yet: in a cluster the two travel apart."""
UNANSWERED_S = 4.0
SEND_S = 15.0
"""As long as the server waits for a device that vanished."""


class MediaMissing(HubbubError):
    code = "unavailable"

    def __init__(self) -> None:
        super().__init__("Calls with sound need aiortc: pip install 'hubbub[calls]'.")


def installed() -> bool:
    return importlib.util.find_spec("aiortc") is not None


class MediaCall:
    """`run` until the call is over. Raises MediaMissing when made without aiortc.

    Args:
        media: makes what is sent to, and done with what comes from, one other device.
        accepted: this device came into the call that others were in, so it offers.
    """

    def __init__(self, call: Call, media: Callable[[], Media], *, accepted: bool) -> None:
        if not installed():
            raise MediaMissing
        self._call = call
        self._media = media
        self._offers = accepted
        self._lines: dict[str, _PeerLine] = {}
        self._strangers: deque[tuple[str, Signal]] = deque(maxlen=STRANGERS_MOST)

    @property
    def states(self) -> dict[str, str]:
        """By device id."""
        return {device_id: line.peer.state for device_id, line in self._lines.items()}

    @property
    def connected(self) -> bool:
        return "connected" in self.states.values()

    async def run(self) -> None:
        try:
            self._sort()
            async for item in self._call.news():
                if isinstance(item, CallChanged):
                    await self._tidy()
                    self._sort()
                else:
                    self._hand(item)
        finally:
            await asyncio.gather(*(line.close() for line in self._lines.values()))
            self._lines.clear()

    def _sort(self) -> None:
        """Who was there when we came gets our offer; who comes later offers himself."""
        for other in self._call.others:
            if other.device_id not in self._lines and len(self._lines) < PEERS_MOST:
                self._open(other.device_id, offer=self._offers)
        self._offers = self._offers and not self._lines

    async def _tidy(self) -> None:
        there = {other.device_id for other in self._call.others}
        for device_id in self._lines.keys() - there:
            await self._lines.pop(device_id).close()

    def _hand(self, item: CallSignal) -> None:
        signal = read_signal(item.signal)
        line = self._lines.get(item.from_device_id)
        if signal is None:
            return
        if line is None:
            self._strangers.append((item.from_device_id, signal))
        else:
            line.put(signal)

    def _open(self, device_id: str, *, offer: bool) -> None:
        from hubbub.calls.peer import Peer

        async def send(signal: dict[str, Any]) -> None:
            await _send(self._call, device_id, signal)

        media = self._media()
        peer = Peer(self._call.ice_servers, media, send, polite=self._call.precedes(device_id))
        line = self._lines[device_id] = _PeerLine(peer, media, offer=offer)
        for each in [each for each in self._strangers if each[0] == device_id]:
            self._strangers.remove(each)
            line.put(each[1])


class _PeerLine:
    """One peer and the task that hands it its signals, in order."""

    def __init__(self, peer: Peer, media: Media, *, offer: bool) -> None:
        self.peer = peer
        self._media = media
        self._signals: asyncio.Queue[Signal] = asyncio.Queue(WAITING_MOST)
        self._command: asyncio.Task[None] | None = None
        self._task = asyncio.create_task(self._work(offer), name="hubbub.peer")

    def put(self, signal: Signal) -> None:
        if not self._signals.full():
            self._signals.put_nowait(signal)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        if self._command is not None:
            await asyncio.wait([self._command])
        await self.peer.close()
        await self._media.close()

    async def _do(self, command: Coroutine[Any, Any, None]) -> None:
        """To its end (it has a time limit) also while closing: of a gathering that is cancelled,
        aiortc leaves sockets and tasks behind."""
        self._command = asyncio.create_task(command, name="hubbub.negotiation")
        await asyncio.shield(self._command)

    async def _work(self, offer: bool) -> None:
        if offer:
            await self._do(self.peer.offer())
        while True:
            try:
                signal = await asyncio.wait_for(self._signals.get(), UNANSWERED_S)
            except TimeoutError:
                await self._do(self.peer.give_way())
            else:
                await self._do(self.peer.take(signal))


async def _send(call: Call, device_id: str, signal: dict[str, Any]) -> None:
    """Through a break of the line; what is refused is not for sending again."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + SEND_S
    while not call.over and loop.time() < give_up:
        try:
            await call.signal(device_id, signal)
        except LineBroken:
            await asyncio.sleep(0.2)
        except RateLimited as error:
            await asyncio.sleep(min(error.retry_after_s or 1.0, SEND_S))
        except HubbubError:
            return
        else:
            return
