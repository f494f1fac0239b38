"""A peer's end of a connection to the media port: full ICE in its simplest form (one pair, which it
nominates at once), DTLS client, SRTP, data channels.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from dataclasses import dataclass
from statistics import median

from aiortc import RTCDataChannel
from OpenSSL import SSL

from media.connections import IceParameters, RemoteEnd
from media.dtls.certificate import Certificate, is_promised, new_certificate
from media.dtls.context import new_context
from media.dtls.endpoint import Closed, Endpoint, Established, Output, Received, Transmit
from media.ice.checks import answer_to, new_credentials
from media.peer.carriers import Carrier
from media.peer.requests import Requests
from media.peer.steps import Failed
from media.planes.channels import MESSAGE_BYTES, PORT, Channels
from media.srtp import Srtp
from media.wire.attributes import ICE_CONTROLLING, PRIORITY, USE_CANDIDATE, USERNAME
from media.wire.demux import Kind, is_rtcp, kind_of
from media.wire.stun import BINDING, REQUEST, SUCCESS, Malformed, Message, build, parse

HANDSHAKE_S = 4.0
LATE_S = 1.0
"""After the last packet was sent: what comes later counts as lost."""
PAYLOAD_BYTES = 160
"""20 ms of G.711; Opus has less."""
_HOST_PRIORITY = (126 << 24 | 65_535 << 8 | 255).to_bytes(4, "big")
_ANY: tuple[str, int] = ("0.0.0.0", 0)


@dataclass(frozen=True, slots=True)
class Identity:
    """One certificate and OpenSSL context for all connections of a peer."""

    certificate: Certificate
    context: SSL.Context

    @classmethod
    def new(cls) -> Identity:
        certificate = new_certificate()
        return cls(certificate, new_context(certificate))


@dataclass(frozen=True, slots=True)
class Echo:
    """Of `sent` packets `lost` did not come back; `rtt_ms` is the median of the others."""

    sent: int
    lost: int
    rtt_ms: float


class PeerConnection:
    """`check`, `shake`, then `echo` and `say`; each raises Failed. Over one carrier."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._credentials = new_credentials()
        self._loop = asyncio.get_running_loop()
        self._carrier: Carrier | None = None
        self._requests: Requests | None = None
        self._dtls: Endpoint | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._shaken: asyncio.Future[Established] = self._loop.create_future()
        self._srtp: Srtp | None = None
        self._channels: Channels | None = None
        self._back: dict[int, float] = {}
        """When the packet of a sequence number came back."""
        self._came_back = asyncio.Event()

    def end(self) -> RemoteEnd:
        """What our SDP would say."""
        return RemoteEnd(
            IceParameters(self._credentials.ufrag, self._credentials.password),
            (self._identity.certificate.fingerprint,),
            sctp_port=PORT,
            max_message_bytes=MESSAGE_BYTES,
        )

    async def check(self, carrier: Carrier, remote: IceParameters) -> None:
        """The pair is proved and nominated."""
        self._carrier, self._requests = carrier, Requests(carrier)
        carrier.listen(self._arrived)
        tie_breaker = secrets.token_bytes(8)

        def request(number: bytes) -> bytes:
            name = f"{remote.ufrag}:{self._credentials.ufrag}".encode()
            attributes = (
                (USERNAME, name), (PRIORITY, _HOST_PRIORITY), (ICE_CONTROLLING, tie_breaker),
                (USE_CANDIDATE, b""),
            )  # fmt: skip
            key = remote.password.encode()
            return build(BINDING | REQUEST, number, attributes, key=key, fingerprint=True)

        # Also on a stream: the first one may come before the media process knows of us.
        answer = await self._requests.ask("ice", request, again=True)
        if answer.kind != SUCCESS or not answer.proves_sha1(remote.password.encode()):
            raise Failed("ice", "the check was refused")

    async def shake(self, fingerprint: str) -> None:
        """The DTLS handshake; the other end must have the certificate of `fingerprint`."""
        now = self._loop.time()
        self._dtls = Endpoint(self._identity.context, "client", now)
        self._perform(self._dtls.start(now))
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                done = await self._shaken
        except TimeoutError as error:
            raise Failed("dtls", self._trouble()) from error
        if not is_promised(done.certificate, (fingerprint,)):
            raise Failed("dtls", "another certificate than announced")
        if done.profile is None:
            raise Failed("dtls", "no SRTP profile")
        self._srtp = Srtp(done.profile, send_key=done.send_key, receive_key=done.receive_key)

    async def echo(self, count: int, *, every_s: float) -> Echo:
        """RTP packets that are to come back; all lost is a failure."""
        assert self._srtp is not None
        self._back.clear()
        ssrc, sent_at = secrets.token_bytes(4), []
        for number in range(count):
            protected = self._srtp.protected(_rtp(number, ssrc))
            sent_at.append(time.perf_counter())
            if protected is not None:
                self._send(protected)
            await asyncio.sleep(every_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LATE_S):
                while len(self._back) < count:
                    self._came_back.clear()
                    await self._came_back.wait()
        if not self._back:
            raise Failed("srtp", self._trouble())
        trips = [(at - sent_at[number]) * 1000 for number, at in self._back.items()]
        return Echo(count, count - len(self._back), round(median(trips), 2))

    async def say(self, text: str) -> None:
        """Over a data channel, until it comes back."""
        assert self._dtls is not None
        heard = self._loop.create_future()

        def said(channel: RTCDataChannel, message: str | bytes) -> None:
            if message == text and not heard.done():
                heard.set_result(None)

        self._channels = Channels(
            "client", remote_port=PORT, max_message_bytes=MESSAGE_BYTES,
            transmit=self._send_data, said=said,
        )  # fmt: skip
        self._channels.open("doctor", text)
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                await heard
        except TimeoutError as error:
            raise Failed("data", self._trouble()) from error

    def close(self) -> None:
        """Tells the other end; the carrier is its owner's to close."""
        if self._timer is not None:
            self._timer.cancel()
        if self._channels is not None:
            self._channels.close()
        if self._dtls is not None:
            self._perform(self._dtls.close())
        self._shaken.cancel()

    # ---- what arrives --------------------------------------------------------------------------

    def _arrived(self, packet: bytes) -> None:
        kind = kind_of(packet)
        if kind is Kind.RTP:
            self._media(packet)
        elif kind is Kind.DTLS and self._dtls is not None:
            self._perform(self._dtls.handle(packet, self._loop.time()))
        elif kind is Kind.STUN:
            message = parse(packet)
            if not isinstance(message, Malformed):
                self._stun(message)

    def _media(self, packet: bytes) -> None:
        clear = self._srtp.opened(packet) if self._srtp is not None else None
        if clear is not None and not is_rtcp(clear):
            self._back.setdefault(clear[2] << 8 | clear[3], time.perf_counter())
            self._came_back.set()

    def _stun(self, message: Message) -> None:
        """An answer to us, or a check of the server's own (its round trip and our consent)."""
        assert self._requests is not None
        key = self._credentials.password.encode()
        if self._requests.answered(message):
            return
        if message.type == BINDING | REQUEST and message.proves_sha1(key):
            # A lite agent does not look at the address that it is told.
            self._send(answer_to(message, _ANY, key))

    def _perform(self, outputs: list[Output]) -> None:
        for output in outputs:
            match output:
                case Transmit(datagram):
                    self._send(datagram)
                case Established() if not self._shaken.done():
                    self._shaken.set_result(output)
                case Received(data) if self._channels is not None:
                    self._channels.received(data)
                case Closed(reason, detail) if not self._shaken.done():
                    self._shaken.set_exception(Failed("dtls", detail or reason))
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._dtls.next_deadline() if self._dtls is not None else None
        if deadline is not None:
            self._timer = self._loop.call_at(deadline, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if self._dtls is not None:
            self._perform(self._dtls.tick(self._loop.time()))

    def _send_data(self, data: bytes) -> None:
        if self._dtls is not None:
            self._perform(self._dtls.send(data))

    def _send(self, packet: bytes) -> None:
        if self._carrier is not None:
            self._carrier.send(packet)

    def _trouble(self) -> str:
        return self._carrier.trouble if self._carrier is not None else ""


async def ask_address(carrier: Carrier) -> None:
    """A plain Binding request: whether a STUN server is there at all. Raises Failed."""
    requests = Requests(carrier)
    carrier.listen(lambda packet: _hand(requests, packet))
    await requests.ask("stun", lambda number: build(BINDING | REQUEST, number))


def _hand(requests: Requests, packet: bytes) -> None:
    message = parse(packet)
    if not isinstance(message, Malformed):
        requests.answered(message)


def _rtp(number: int, ssrc: bytes) -> bytes:
    """Payload type 111; 160 samples of 8 kHz between packets."""
    head = b"\x80\x6f" + number.to_bytes(2, "big") + (number * 160).to_bytes(4, "big")
    return head + ssrc + bytes(PAYLOAD_BYTES)
