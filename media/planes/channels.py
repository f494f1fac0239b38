"""Data channels of one connection: aiortc's SCTP over our DTLS.

`RTCSctpTransport` wants a DTLS object; `_Dtls` is what it uses of one. Nothing in it waits for the
outside, so that its coroutines run to their end at once. It trusts its peer: a parameter of length
0 holds it for ever, a SACK for seconds (`is_sound` stands before it); it does not insist on the
window it advertised, and asserts where a peer misbehaves (both end the association here).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Coroutine
from typing import Any, cast

from aiortc import (
    RTCDataChannel,
    RTCDataChannelParameters,
    RTCSctpCapabilities,
    RTCSctpTransport,
)
from aiortc.rtcdtlstransport import RTCDtlsTransport

from media.wire.sctp import is_sound

PORT = 5_000
MESSAGE_BYTES = 262_144
"""What our SDP says in `a=max-message-size`: aiortc's own bound."""
CHANNELS = 32
_STREAMS = 256
_MISORDERED = 1_024
"""1 MiB in chunks of 1,200 bytes, with some room."""
_WINDOW_SLACK = -MESSAGE_BYTES
"""How far a peer may be past the window of 1 MiB: what was on its way."""
_WAITING_BYTES = 1_048_576
_MISBEHAVIOUR = (AssertionError, ValueError, LookupError, TypeError, AttributeError, struct.error)
"""What aiortc raises at input that no honest peer sends."""

Message = str | bytes


class Channels:
    """`received` takes what DTLS decrypted, `transmit` is called with what it is to encrypt."""

    def __init__(
        self,
        role: str,
        *,
        remote_port: int,
        max_message_bytes: int,
        transmit: Callable[[bytes], object],
        said: Callable[[RTCDataChannel, Message], object],
    ) -> None:
        self._dtls = _Dtls(role, transmit)
        self._said = said
        self._count = 0
        self.failed = False
        self._sctp = RTCSctpTransport(cast(RTCDtlsTransport, self._dtls), PORT)
        self._sctp.on("datachannel", self._opened)
        capabilities = RTCSctpCapabilities(maxMessageSize=max_message_bytes)
        _finish(self._sctp.start(capabilities, remote_port))

    def open(self, label: str, first: Message) -> None:
        """A channel of ours: `first` is sent when it is open, `said` gets what comes back."""
        channel = RTCDataChannel(self._sctp, RTCDataChannelParameters(label=label))
        channel.on("open", lambda: send(channel, first))
        channel.on("message", lambda message: self._said(channel, message))

    def received(self, data: bytes) -> None:
        if self.failed or not is_sound(data):
            return
        try:
            _finish(self._sctp._handle_data(data))
        except _MISBEHAVIOUR:
            self._fail()
            return
        if self._is_flooded():
            self._fail()

    def close(self) -> None:
        if not self.failed:
            _finish(self._sctp.stop())
        self._dtls.state = "closed"

    def _opened(self, channel: RTCDataChannel) -> None:
        self._count += 1
        if self._count > CHANNELS:
            channel.close()
            return
        channel.on("message", lambda message: self._said(channel, message))

    def _is_flooded(self) -> bool:
        sctp = self._sctp
        return (
            sctp._advertised_rwnd < _WINDOW_SLACK
            or len(sctp._sack_misordered) > _MISORDERED
            or len(sctp._inbound_streams) > _STREAMS
            or len(sctp._data_channels) > 2 * CHANNELS
        )

    def _fail(self) -> None:
        self.close()
        self.failed = True


def send(channel: RTCDataChannel, message: Message) -> bool:
    """False: the channel is closed, or its peer reads too slowly; the message is gone."""
    if channel.readyState != "open" or channel.bufferedAmount > _WAITING_BYTES:
        return False
    try:
        channel.send(message)
    except ValueError:
        # Longer than the peer takes.
        return False
    return True


class _Dtls:
    """What `RTCSctpTransport` uses of `RTCDtlsTransport`."""

    def __init__(self, role: str, transmit: Callable[[bytes], object]) -> None:
        self._role = role
        self._transmit = transmit
        self.state = "connected"

    async def _send_data(self, data: bytes) -> None:
        if self.state != "closed":
            self._transmit(data)

    def _register_data_receiver(self, receiver: object) -> None:
        """We call `_handle_data` ourselves."""

    def _unregister_data_receiver(self, receiver: object) -> None:
        """As above."""


def _finish(work: Coroutine[Any, Any, None]) -> None:
    """Runs what never waits, without a task for each packet."""
    try:
        work.send(None)
    except StopIteration:
        return
    work.close()
    raise AssertionError("aiortc waited for something")
