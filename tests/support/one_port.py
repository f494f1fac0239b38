"""A packet plane on loopback, and peers for it: aiortc's, and one that tests can bend."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aioice.ice
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from media import api
from media.connections import (
    IceParameters,
    OpenConnection,
    PlaneReady,
    RemoteEnd,
)
from media.dtls.certificate import Certificate, new_certificate
from media.dtls.context import new_context
from media.dtls.endpoint import Closed, Endpoint, Established, Received, Transmit
from media.ice.checks import Credentials, new_credentials
from media.planes.python import PythonPlane
from media.planes.settings import PlaneSettings
from media.srtp import Srtp
from media.wire.attributes import ICE_CONTROLLING, PRIORITY, USE_CANDIDATE, USERNAME
from media.wire.demux import Kind, kind_of
from media.wire.prefixed import Packets, prefixed
from media.wire.stun import BINDING, ERROR, REQUEST, SUCCESS, Malformed, Message, build, parse

CALL, DEVICE = "call", "device"
LOOPBACK = PlaneSettings(hosts=("127.0.0.1",), tcp_port=0)
WAIT_S = 10.0
_numbers = itertools.count(1)
# aioice leaves loopback out, where alone tests may go.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]


class House:
    """A plane with one open call, and what it has reported."""

    def __init__(self, plane: PythonPlane) -> None:
        self.plane = plane
        self.told: list[object] = []
        self._news = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while True:
            self.told += await self.plane.reports()
            self._news.set()

    async def hears(self, kind: type, where: Callable[[object], bool] = lambda _: True) -> object:
        """The first report of that kind, past or to come."""
        async with asyncio.timeout(WAIT_S):
            while True:
                for report in self.told:
                    if isinstance(report, kind) and where(report):
                        return report
                self._news.clear()
                await self._news.wait()

    def heard(self, kind: type) -> list[object]:
        return [report for report in self.told if isinstance(report, kind)]

    async def ready(self) -> PlaneReady:
        ready = await self.hears(PlaneReady)
        assert isinstance(ready, PlaneReady)
        return ready

    @property
    def udp(self) -> tuple[str, int]:
        return self.plane.sockets.udp[0][:2]

    @property
    def tcp(self) -> tuple[str, int]:
        return self.plane.sockets.tcp[0][:2]

    def open(self, remote: RemoteEnd | None, *, role: str = "server") -> OpenConnection:
        local = new_credentials()
        command = OpenConnection(
            connection_id=f"connection-{next(_numbers)}",
            call_id=CALL,
            device_id=DEVICE,
            local=IceParameters(local.ufrag, local.password),
            remote=remote,
            role=role,
            echo=True,
        )
        self.plane.command(command)
        return command

    async def close(self) -> None:
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        await self.plane.close()


@asynccontextmanager
async def house(settings: PlaneSettings = LOOPBACK) -> AsyncIterator[House]:
    plane = PythonPlane(settings)
    await plane.open()
    opened = House(plane)
    plane.command(api.OpenCall(CALL, 1))
    plane.command(api.AddPeer(CALL, DEVICE, "user"))
    try:
        yield opened
    finally:
        await opened.close()


# ---- aiortc ----------------------------------------------------------------------------------


def remote_end(sdp: str) -> RemoteEnd:
    def value(name: str) -> str:
        return next(
            line.partition(":")[2] for line in sdp.splitlines() if line.startswith(f"a={name}:")
        )

    fingerprints = tuple(
        line.partition(":")[2] for line in sdp.splitlines() if line.startswith("a=fingerprint:")
    )
    return RemoteEnd(
        ice=IceParameters(value("ice-ufrag"), value("ice-pwd")),
        fingerprints=fingerprints,
        sctp_port=5000 if "webrtc-datachannel" in sdp else None,
        max_message_bytes=65_536,
    )


_MIRRORED = ("a=mid:", "a=rtpmap:", "a=fmtp:", "a=rtcp-fb:", "a=extmap:", "a=sctp-port:")


def answer_to(
    offer: str,
    local: IceParameters,
    fingerprint: str,
    candidates: list[str],
    setup: str = "passive",
) -> str:
    """Every section mirrored, on one transport."""
    head, *sections = offer.replace("\r\n", "\n").split("\nm=")
    mids = [line[6:] for line in offer.splitlines() if line.startswith("a=mid:")]
    lines = [
        "v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", f"a=group:BUNDLE {' '.join(mids)}",
        "a=ice-lite", "a=msid-semantic:WMS *",
    ]  # fmt: skip
    if "a=extmap-allow-mixed" in head:
        lines.append("a=extmap-allow-mixed")
    for section in sections:
        first, *rest = section.splitlines()
        media, _, words = first.partition(" ")
        lines.append(f"m={media} 9 {words.partition(' ')[2]}")
        lines.append("c=IN IP4 0.0.0.0")
        lines += [line for line in rest if line.startswith(_MIRRORED)]
        if media != "application":
            lines += ["a=sendrecv", "a=rtcp-mux", "a=rtcp-rsize"]
        lines += [
            f"a=ice-ufrag:{local.ufrag}", f"a=ice-pwd:{local.password}",
            f"a=fingerprint:{fingerprint}", f"a=setup:{setup}",
            *(f"a={line}" for line in candidates), "a=end-of-candidates",
        ]  # fmt: skip
    return "\r\n".join(lines) + "\r\n"


def host_candidate(host: str, port: int) -> str:
    return f"candidate:1 1 udp 2130706431 {host} {port} typ host"


@asynccontextmanager
async def aiortc_peer(
    opened: House,
    prepare: Callable[[RTCPeerConnection], object],
    *,
    candidate: str | None = None,
    role: str = "server",
) -> AsyncIterator[RTCPeerConnection]:
    """Offers what `prepare` put in, and gets the plane's answer."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        prepare(peer)
        await peer.setLocalDescription(await peer.createOffer())
        offer = peer.localDescription.sdp
        command = opened.open(remote_end(offer), role=role)
        ready = await opened.ready()
        candidates = [candidate] if candidate else [ready.candidates[0]]
        answer = answer_to(
            offer, command.local, ready.fingerprint, candidates,
            "passive" if role == "server" else "active",
        )  # fmt: skip
        await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        yield peer
    finally:
        await peer.close()


# ---- a peer to bend --------------------------------------------------------------------------


class Peer(asyncio.DatagramProtocol):
    """Full ICE in its simplest form, DTLS client, SRTP: over UDP or TCP."""

    def __init__(self, certificate: Certificate | None = None, *, role: str = "client") -> None:
        self.certificate = certificate or new_certificate()
        self.credentials = new_credentials()
        self.remote = Credentials("", "")
        self.role = role
        self.datagrams: asyncio.Queue[bytes] = asyncio.Queue()
        self.media: asyncio.Queue[bytes] = asyncio.Queue()
        self.answers: asyncio.Queue[Message] = asyncio.Queue()
        self.srtp: Srtp | None = None
        self.up = asyncio.Event()
        self.ended: Closed | None = None
        self.data: asyncio.Queue[bytes] = asyncio.Queue()
        self.answers_checks = True
        self.established: Established | None = None
        self._dtls: Endpoint | None = None
        self._send: Callable[[bytes], object] = lambda data: None
        self._close: Callable[[], object] = lambda: None
        self._timer: asyncio.TimerHandle | None = None

    def end(self) -> RemoteEnd:
        return RemoteEnd(
            IceParameters(self.credentials.ufrag, self.credentials.password),
            (self.certificate.fingerprint,),
        )

    def knows(self, local: IceParameters) -> None:
        self.remote = Credentials(local.ufrag, local.password)

    async def on_udp(self, target: tuple[str, int]) -> None:
        """Moves to a new socket, as behind a NAT that forgot the old one."""
        self._close()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, remote_addr=target)
        self._send, self._close = transport.sendto, transport.close

    async def on_tcp(self, target: tuple[str, int]) -> None:
        self._close()
        reader, writer = await asyncio.open_connection(*target)
        task = asyncio.create_task(self._read(reader))
        self._send = lambda data: writer.write(prefixed(data))

        def close() -> None:
            task.cancel()
            writer.close()

        self._close = close

    async def _read(self, reader: asyncio.StreamReader) -> None:
        packets = Packets()
        while data := await reader.read(4096):
            for packet in packets.feed(data) or ():
                self._arrived(packet)

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._arrived(data)

    def raw(self, data: bytes) -> None:
        self._send(data)

    def check(self, *, nominate: bool = True, transaction: bytes = b"transaction!") -> None:
        attributes = [
            (USERNAME, f"{self.remote.ufrag}:{self.credentials.ufrag}".encode()),
            (PRIORITY, (1 << 24).to_bytes(4, "big")),
            (ICE_CONTROLLING, bytes(8)),
        ]
        if nominate:
            attributes.append((USE_CANDIDATE, b""))
        self._send(
            build(
                BINDING | REQUEST, transaction, attributes,
                key=self.remote.password.encode(), fingerprint=True,
            )
        )  # fmt: skip

    async def checks(self, *, nominate: bool = True) -> Message:
        """A check until it is answered: the first may overtake the command that makes it known."""
        while not self.answers.empty():
            self.answers.get_nowait()
        async with asyncio.timeout(WAIT_S):
            while True:
                self.check(nominate=nominate)
                try:
                    return await asyncio.wait_for(self.answers.get(), 0.2)
                except TimeoutError:
                    continue

    async def shakes(self) -> None:
        """The handshake to its end."""
        loop = asyncio.get_running_loop()
        self._dtls = Endpoint(new_context(self.certificate), self.role, loop.time())
        self._perform(self._dtls.start(loop.time()))
        async with asyncio.timeout(WAIT_S):
            await self.up.wait()

    async def connects(self, opened: House, *, tcp: bool = False) -> OpenConnection:
        command = opened.open(self.end())
        self.knows(command.local)
        await (self.on_tcp(opened.tcp) if tcp else self.on_udp(opened.udp))
        await self.checks()
        await self.shakes()
        return command

    def says(self, sequence: int, ssrc: int = 0x1234, payload: bytes = b"voice") -> bytes:
        """Sends an RTP packet; answers it in the clear."""
        packet = rtp(sequence, ssrc, payload)
        assert self.srtp is not None
        protected = self.srtp.protected(packet)
        assert protected is not None
        self._send(protected)
        return packet

    async def hears(self) -> bytes:
        async with asyncio.timeout(WAIT_S):
            return await self.media.get()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._close()

    def _arrived(self, data: bytes) -> None:
        self.datagrams.put_nowait(data)
        kind = kind_of(data)
        if kind is Kind.STUN:
            self._stun(data)
        elif kind is Kind.DTLS and self._dtls is not None:
            self._perform(self._dtls.handle(data, asyncio.get_running_loop().time()))
        elif kind is Kind.RTP and self.srtp is not None:
            clear = self.srtp.opened(data)
            if clear is not None:
                self.media.put_nowait(clear)

    def _stun(self, data: bytes) -> None:
        message = parse(data)
        if isinstance(message, Malformed):
            return
        if message.kind in (SUCCESS, ERROR):
            self.answers.put_nowait(message)
        elif self.answers_checks and message.proves_sha1(self.credentials.password.encode()):
            self._send(
                build(
                    BINDING | SUCCESS, message.transaction, (),
                    key=self.credentials.password.encode(), fingerprint=True,
                )
            )  # fmt: skip

    def _perform(self, outputs: list[object]) -> None:
        for output in outputs:
            match output:
                case Transmit(datagram):
                    self._send(datagram)
                case Established():
                    self.established = output
                    if output.profile is not None:
                        self.srtp = Srtp(
                            output.profile,
                            send_key=output.send_key,
                            receive_key=output.receive_key,
                        )
                    self.up.set()
                case Received(data):
                    self.data.put_nowait(data)
                case Closed():
                    self.ended = output
                    self.up.set()


def rtp(sequence: int, ssrc: int = 0x1234, payload: bytes = b"voice") -> bytes:
    head = (
        b"\x80\x6f" + (sequence & 0xFFFF).to_bytes(2, "big") + (sequence * 960).to_bytes(4, "big")
    )
    return head + ssrc.to_bytes(4, "big") + payload
