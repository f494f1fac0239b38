"""One peer connection behind the shared port: DTLS, then SRTP and data channels, and its counts."""

from __future__ import annotations

import asyncio
from typing import Protocol

from aiortc import RTCDataChannel
from OpenSSL import SSL

from media.connections import (
    ConnectionDown,
    ConnectionStats,
    ConnectionUp,
    OpenConnection,
    RemoteEnd,
    Role,
)
from media.dtls.certificate import is_promised
from media.dtls.endpoint import Closed, Endpoint, Established, Output, Received, Transmit
from media.planes.channels import Channels, Message, send
from media.planes.losses import Losses
from media.srtp import Srtp
from media.wire.demux import is_rtcp, ssrc_of

WAITING_DATAGRAMS = 4
"""Of DTLS, that came before the peer's fingerprint was known."""


class Sink(Protocol):
    """What a connection needs of its plane."""

    def transmit(self, connection: Connection, data: bytes) -> None:
        """To the path in use; dropped when there is none."""
        ...

    def heard_stream(self, connection: Connection, ssrc: int) -> None:
        """The first authentic packet of a stream."""
        ...

    def report_up(self, connection: Connection, report: ConnectionUp) -> None: ...

    def report_down(self, connection: Connection, report: ConnectionDown) -> None: ...


class Connection:
    """Lives on the loop's thread. ICE is the plane's: here only what passed it arrives."""

    def __init__(self, command: OpenConnection, context: SSL.Context, sink: Sink) -> None:
        self.id = command.connection_id
        self.call_id = command.call_id
        self.device_id = command.device_id
        self.opened_at = asyncio.get_running_loop().time()
        self.rtt_ms: float | None = None
        self.is_up = False
        self.losses = Losses()
        self.packets_in = self.bytes_in = self.packets_out = self.bytes_out = 0
        self._echo = command.echo
        self._context = context
        self._sink = sink
        self._loop = asyncio.get_running_loop()
        self._remote: RemoteEnd | None = None
        self._dtls: Endpoint | None = None
        self._srtp: Srtp | None = None
        self._channels: Channels | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: list[bytes] = []
        self._has_path = False

    def after_ms(self) -> float:
        return round((self._loop.time() - self.opened_at) * 1000, 1)

    def know(self, remote: RemoteEnd, role: Role) -> None:
        """DTLS may begin; a client begins as soon as there is a path."""
        if self._remote is not None:
            return
        self._remote = remote
        self._dtls = Endpoint(self._context, role, self._loop.time())
        if self._has_path:
            self._begin()

    def has_path(self) -> None:
        """A path is proved for the first time, or another one is in use."""
        if not self._has_path:
            self._has_path = True
            self._begin()

    def dtls(self, datagram: bytes) -> None:
        """From a proved path."""
        if self._dtls is None:
            if len(self._waiting) < WAITING_DATAGRAMS:
                self._waiting.append(datagram)
            return
        self._perform(self._dtls.handle(datagram, self._loop.time()))

    def media(self, packet: bytes) -> bool:
        """SRTP or SRTCP from anywhere; False: it is not authentic (or DTLS is not done)."""
        if self._srtp is None:
            return False
        clear = self._srtp.opened(packet)
        if clear is None:
            return False
        self.packets_in += 1
        self.bytes_in += len(packet)
        if not is_rtcp(clear) and self.losses.arrived(clear):
            self._sink.heard_stream(self, ssrc_of(clear))
        if self._echo:
            self.send_media(clear)
        return True

    def send_media(self, packet: bytes) -> None:
        """RTP or RTCP in the clear."""
        protected = self._srtp.protected(packet) if self._srtp is not None else None
        if protected is not None:
            self._send(protected)

    def stats(self) -> ConnectionStats:
        return ConnectionStats(
            connection_id=self.id,
            rtt_ms=self.rtt_ms,
            packets_in=self.packets_in,
            bytes_in=self.bytes_in,
            lost_in=self.losses.lost,
            packets_out=self.packets_out,
            bytes_out=self.bytes_out,
        )

    def close(self) -> None:
        """Tells the peer, if it may be told."""
        self._stop()
        if self._dtls is not None:
            self._perform([one for one in self._dtls.close() if isinstance(one, Transmit)])

    def _begin(self) -> None:
        if self._dtls is None:
            return
        self._perform(self._dtls.start(self._loop.time()))
        waiting, self._waiting = self._waiting, []
        for datagram in waiting:
            self.dtls(datagram)

    def _perform(self, outputs: list[Output]) -> None:
        for output in outputs:
            match output:
                case Transmit(datagram):
                    self._send(datagram)
                case Established():
                    self._established(output)
                case Received(data):
                    if self._channels is not None:
                        self._channels.received(data)
                case Closed(reason, detail):
                    self._down("closed" if reason == "peer" and self.is_up else "dtls", detail)
        self._arm()

    def _established(self, result: Established) -> None:
        assert self._remote is not None
        assert self._dtls is not None
        if not is_promised(result.certificate, self._remote.fingerprints):
            self._down("fingerprint")
            return
        if result.profile is not None:
            self._srtp = Srtp(
                result.profile, send_key=result.send_key, receive_key=result.receive_key
            )
        self.is_up = True
        name = result.profile.name if result.profile is not None else None
        self._sink.report_up(self, ConnectionUp(self.id, self.after_ms(), name))
        if self._remote.sctp_port is not None:
            self._channels = Channels(
                self._dtls.role,
                remote_port=self._remote.sctp_port,
                max_message_bytes=self._remote.max_message_bytes,
                transmit=self._send_data,
                said=self._said,
            )

    def _said(self, channel: RTCDataChannel, message: Message) -> None:
        if self._echo:
            send(channel, message)

    def _send_data(self, data: bytes) -> None:
        if self._dtls is not None:
            self._perform(self._dtls.send(data))

    def _send(self, datagram: bytes) -> None:
        self.packets_out += 1
        self.bytes_out += len(datagram)
        self._sink.transmit(self, datagram)

    def _down(self, reason: str, detail: str = "") -> None:
        self.close()
        self._sink.report_down(self, ConnectionDown(self.id, reason, detail))

    def _stop(self) -> None:
        self.is_up = False
        self._srtp = None
        channels, self._channels = self._channels, None
        if channels is not None:
            channels.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

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
