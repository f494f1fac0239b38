"""One other device of a call, by aiortc: descriptions, candidates, tracks.

Perfect negotiation (WebRTC 1.0, example 10.7) with two differences, as aiortc can neither roll back
nor restart ICE: an offer that collides with ours, one with other ICE credentials and one from
another peer connection of the device are answered by a new RTCPeerConnection. Its answer has other
ICE credentials and another certificate; browsers start DTLS anew on that.

This side does not trickle: its descriptions carry all its candidates. Trickled ones are taken.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Protocol, cast
from uuid import uuid4

from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.exceptions import InternalError, InvalidAccessError, InvalidStateError, OperationError
from aiortc.rtcconfiguration import RTCBundlePolicy
from aiortc.rtcicetransport import parse_stun_turn_uri
from aiortc.sdp import candidate_from_sdp

from hubbub.calls.descriptions import Fitting, Session, Unusable, ice_of, read, sources_of
from hubbub.calls.shapes import IceServer
from hubbub.calls.signals import SOURCES, Candidate, Description, Signal

NEGOTIATE_S = 15.0
"""For one description: gathering takes 5 s where a TURN server does not answer."""

CLOSE_S = 5.0
CANDIDATES_MOST = 64
"""Taken for each connection: a browser has about ten."""

REFUSALS = (
    AssertionError, ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError,
    ValueError, struct.error, InternalError, InvalidAccessError, InvalidStateError, OperationError,
)  # fmt: skip
"""What aiortc raises on descriptions and candidates that it cannot use."""


class Media(Protocol):
    """What is sent and what becomes of what arrives."""

    def outgoing(self, source: str) -> MediaStreamTrack | None:
        """The track to send as `source`; the same for as long as it lives. None: nothing."""
        ...

    def incoming(self, source: str, track: MediaStreamTrack) -> None:
        """It must be read to its end (MediaStreamError): what nobody reads piles up."""
        ...

    async def close(self) -> None: ...


class Connection(RTCPeerConnection):
    """aiortc connects on tasks that nobody holds. What is closed in the meantime would go on behind
    its end: checks of consent, and RTCP reports for ever (seen with aiortc 1.16, aioice 0.13)."""

    def __init__(self, configuration: RTCConfiguration) -> None:
        self._connecting: set[asyncio.Task[Any]] = set()
        super().__init__(configuration)

    async def close(self) -> None:
        while self._connecting:
            for task in self._connecting:
                task.cancel()
            await asyncio.wait(self._connecting)
        await super().close()

    async def _RTCPeerConnection__connect(self) -> None:  # a private name
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._connecting.add(task)
        try:
            await super()._RTCPeerConnection__connect()  # type: ignore[misc]
        except InvalidStateError:
            return  # closed before its turn came
        finally:
            self._connecting.discard(task)


class Peer:
    """Commands come one after another (from one task). Nothing the other side sends raises.

    Args:
        send: hands a signal to the other device.
        polite: whose offer yields when both offer at once: of the two, who came first.
    """

    def __init__(
        self, ice_servers: list[IceServer], media: Media,
        send: Callable[[dict[str, Any]], Awaitable[None]], *, polite: bool,
    ) -> None:  # fmt: skip
        self._ice_servers = ice_servers
        self._media = media
        self._send = send
        self._polite = polite
        self._connection: Connection | None = None
        self._fitting = Fitting()
        self._own_id = ""
        self._their_id = ""
        self._their_ice = ("", "")
        self._their_mids: list[str] = []
        self._heard: set[str] = set()
        self._offering = False
        self._ignored: Description | None = None
        self._early: deque[Candidate] = deque(maxlen=CANDIDATES_MOST)
        self._candidates = 0
        self._resolving: set[asyncio.Task[None]] = set()
        self.refused: str | None = None
        """Why the last signal was not followed, for logs."""

    @property
    def state(self) -> str:
        """new, connecting, connected, failed, closed."""
        return "new" if self._connection is None else self._connection.connectionState

    async def offer(self) -> None:
        """Begin. All sources have a section from the first offer on: they come and go without
        another one."""
        await self._try(self._make_offer())

    async def take(self, signal: Signal) -> None:
        """What is not for this connection, or cannot be followed, changes nothing."""
        offer = isinstance(signal, Description) and signal.type == "offer"
        if not offer and signal.ends.to_id not in ("", self._own_id):
            self.refused = "stale"
        else:
            await self._try(self._take(signal))

    async def give_way(self) -> None:
        """Who offers himself and does not answer ours: let it be his."""
        if self._offering and self._ignored is not None:
            self._offering = False
            await self.take(self._ignored)

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        for task in self._resolving:
            task.cancel()
        if connection is not None:
            await _close(connection)

    async def _try(self, work: Coroutine[Any, Any, None]) -> None:
        self.refused = None
        try:
            async with asyncio.timeout(NEGOTIATE_S):
                await work
        except TimeoutError:
            self.refused = "timeout"
        except Unusable as error:
            self.refused = str(error)
        except REFUSALS as error:
            self.refused = type(error).__name__

    # ---- descriptions ----

    async def _take(self, signal: Signal) -> None:
        if isinstance(signal, Candidate):
            self._take_candidate(signal)
        elif signal.type == "offer":
            await self._take_offer(signal)
        else:
            await self._take_answer(signal)

    async def _make_offer(self) -> None:
        connection = await self._renew()
        for source in SOURCES:
            kind = "video" if source in ("camera", "screen") else "audio"
            connection.addTransceiver(self._media.outgoing(source) or kind, "sendrecv")
        await connection.setLocalDescription(await connection.createOffer())
        self._offering = True
        sdp = self._fitting.give_offer(connection.localDescription.sdp)
        await self._tell("offer", sdp, dict(zip(self._fitting.seen, SOURCES, strict=True)))

    async def _take_offer(self, signal: Description) -> None:
        offer = read(signal.sdp)
        anew = self._their_id != "" and signal.ends.from_id != self._their_id
        if self._offering and not self._polite and not anew:
            self._ignored = signal
            self.refused = "collision"
            return
        connection = self._connection
        if connection is None or self._offering or self._is_another(signal, offer):
            connection = await self._renew()
        self._their_id, self._their_ice = signal.ends.from_id, ice_of(offer)
        self._their_mids = [each.mid for each in offer.sections]
        try:
            text = self._fitting.take_offer(offer)
            await connection.setRemoteDescription(RTCSessionDescription(text, "offer"))
            sources = self._attach(connection, offer, signal.sources)
            await connection.setLocalDescription(await connection.createAnswer())
        except BaseException:
            # Half an offer is in it: the next one shall find an empty connection.
            await self._drop()
            raise
        answer = self._fitting.give_answer(connection.localDescription.sdp, offer)
        self._use_early()
        await self._tell("answer", answer, sources)

    async def _take_answer(self, signal: Description) -> None:
        connection = self._connection
        if connection is None or not self._offering:
            self.refused = "unasked"
            return
        answer = read(signal.sdp)
        text = self._fitting.take_answer(answer)
        self._their_mids = [each.mid for each in answer.sections]
        await connection.setRemoteDescription(RTCSessionDescription(text, "answer"))
        self._offering = False
        self._their_id, self._their_ice = signal.ends.from_id, ice_of(answer)
        self._attach(connection, answer, signal.sources)
        self._use_early()

    def _is_another(self, signal: Description, offer: Session) -> bool:
        other = signal.ends.from_id != self._their_id
        return other or ice_of(offer) != self._their_ice or self.state in ("failed", "closed")

    def _attach(
        self, connection: RTCPeerConnection, session: Session, told: Mapping[str, str]
    ) -> dict[str, str]:
        """Tracks to the sections where the other side wants or sends some. mid -> what we send."""
        sent: dict[str, str] = {}
        sources = sources_of(session, told)
        for transceiver in connection.getTransceivers():
            mid = transceiver.mid or ""
            section, source = session.section(mid), sources.get(mid)
            if section is None or source is None or section.direction == "inactive":
                continue
            heard = transceiver.receiver.track
            if heard is not None and mid not in self._heard:
                self._media.incoming(source, heard)
                self._heard.add(mid)
            if section.direction != "sendonly" and self._send_by(transceiver, source):
                sent[mid] = source
        return sent

    def _send_by(self, transceiver: RTCRtpTransceiver, source: str) -> bool:
        track = self._media.outgoing(source)
        if track is None:
            return False
        if transceiver.sender.track is not track:
            transceiver.sender.replaceTrack(track)
        transceiver.direction = "sendrecv"
        return True

    async def _tell(self, kind: str, sdp: str, sources: Mapping[str, str]) -> None:
        """As our clients read it, and as those do that follow WebRTC's own example."""
        description = {"type": kind, "sdp": sdp}
        signal = {**description, "sources": dict(sources), "from": self._own_id}
        ends = {"to": self._their_id} if self._their_id else {}
        await self._send({**signal, **ends, "description": description})

    # ---- candidates ----

    def _take_candidate(self, candidate: Candidate) -> None:
        if candidate.ends.from_id and candidate.ends.from_id != self._their_id:
            self._early.append(candidate)
            return
        connection = self._connection
        if connection is None or not self._their_mids or self._offering:
            self._early.append(candidate)
            return
        self._add(connection, candidate)

    def _use_early(self) -> None:
        early = list(self._early)
        self._early.clear()
        for candidate in early:
            self._take_candidate(candidate)

    def _add(self, connection: RTCPeerConnection, candidate: Candidate) -> None:
        """All is bundled on the first section; a name (mDNS) is resolved on the side."""
        self._candidates += 1
        if self._candidates > CANDIDATES_MOST or not candidate.line:
            # The end is not told to aiortc: it would take no later candidate, and give up earlier.
            return
        mid = candidate.mid
        if mid is None and candidate.index is not None and candidate.index < len(self._their_mids):
            mid = self._their_mids[candidate.index]
        first = next(iter(self._fitting.seen))
        if mid not in (None, first):
            return
        found = candidate_from_sdp(candidate.line.removeprefix("candidate:"))
        found.sdpMid = first
        task = asyncio.create_task(_add_candidate(connection, found), name="hubbub.candidate")
        self._resolving.add(task)
        task.add_done_callback(self._resolving.discard)

    # ---- connections ----

    async def _renew(self) -> Connection:
        await self._drop()
        self._own_id = str(uuid4())
        self._connection = Connection(
            RTCConfiguration(
                iceServers=[each for server in self._ice_servers for each in _servers(server)],
                bundlePolicy=RTCBundlePolicy.MAX_BUNDLE,
            )
        )
        return self._connection

    async def _drop(self) -> None:
        await self.close()
        self._fitting = Fitting()
        self._heard.clear()
        self._ignored = None
        self._offering = False
        self._candidates = 0
        self._their_mids = []


async def _add_candidate(connection: RTCPeerConnection, candidate: Any) -> None:
    try:
        await connection.addIceCandidate(candidate)
    except REFUSALS:
        return  # one way less to it


async def _close(connection: RTCPeerConnection) -> None:
    for receiver in connection.getReceivers():
        if receiver.track is not None:
            receiver.track.stop()
    try:
        async with asyncio.timeout(CLOSE_S):
            await connection.close()
    except (TimeoutError, *REFUSALS):
        return


def _servers(server: IceServer) -> list[RTCIceServer]:
    """Those addresses that aiortc can read: it fails on the others (IPv6 literals)."""
    urls = [server.urls] if isinstance(server.urls, str) else server.urls
    return [
        RTCIceServer(urls=url, username=server.username, credential=server.credential)
        for url in urls
        if _readable(url)
    ]


def _readable(url: str) -> bool:
    try:
        parse_stun_turn_uri(url)
    except ValueError:
        return False
    return True
