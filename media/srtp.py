"""SRTP and SRTCP of one peer by libsrtp: protect what goes out, open what comes in."""

from __future__ import annotations

import contextlib

import pylibsrtp

from media.dtls.context import AEAD_AES_128_GCM, AES_128_CM_SHA1_80, SrtpProfile
from media.wire.demux import is_rtcp

WINDOW_PACKETS = 1_024
"""How late a packet may come: a second of 8 Mbit/s."""
PACKET_BYTES = 1_500 - 148
"""The longest packet that the binding's buffer can protect: 1,500 less tag, key id and index."""
STREAMS = 128
"""SSRCs of each direction; past it the oldest begins anew. libsrtp would keep a stream for each of
them for ever, and an authentic peer can invent millions.
"""
_OPENED_BYTES = 1_500

_NUMBERS = {
    AES_128_CM_SHA1_80: pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    AEAD_AES_128_GCM: pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
}


class Srtp:
    """libsrtp makes a stream for each SSRC that proves authentic."""

    def __init__(self, profile: SrtpProfile, *, send_key: bytes, receive_key: bytes) -> None:
        number = _NUMBERS[profile]
        self._sends = _session(pylibsrtp.Policy.SSRC_ANY_OUTBOUND, send_key, number)
        self._receives = _session(pylibsrtp.Policy.SSRC_ANY_INBOUND, receive_key, number)
        self._sent: dict[bytes, None] = {}
        self._received: dict[bytes, None] = {}

    @property
    def streams(self) -> int:
        """Of the direction that has more."""
        return max(len(self._sent), len(self._received))

    def opened(self, packet: bytes) -> bytes | None:
        """RTP or RTCP in the clear; None: not authentic, seen before, too late, or no packet."""
        if not 12 <= len(packet) <= _OPENED_BYTES:
            return None
        try:
            if is_rtcp(packet):
                clear, ssrc = self._receives.unprotect_rtcp(packet), packet[4:8]
            else:
                clear, ssrc = self._receives.unprotect(packet), packet[8:12]
        except pylibsrtp.Error:
            return None
        if ssrc not in self._received:
            _remember(ssrc, self._received, self._receives)
        return clear

    def protected(self, packet: bytes) -> bytes | None:
        """None: libsrtp takes it for no packet, or it is too long."""
        if not 8 <= len(packet) <= PACKET_BYTES:
            return None
        try:
            if is_rtcp(packet):
                closed, ssrc = self._sends.protect_rtcp(packet), packet[4:8]
            else:
                closed, ssrc = self._sends.protect(packet), packet[8:12]
        except pylibsrtp.Error:
            return None
        if ssrc not in self._sent:
            _remember(ssrc, self._sent, self._sends)
        return closed


def _remember(ssrc: bytes, known: dict[bytes, None], session: pylibsrtp.Session) -> None:
    known[ssrc] = None
    if len(known) > STREAMS:
        oldest = next(iter(known))
        del known[oldest]
        with contextlib.suppress(pylibsrtp.Error):
            session.remove_stream(int.from_bytes(oldest, "big"))


def _session(kind: int, key: bytes, number: int) -> pylibsrtp.Session:
    policy = pylibsrtp.Policy(key=key, ssrc_type=kind, srtp_profile=number)
    policy.allow_repeat_tx = True
    policy.window_size = WINDOW_PACKETS
    return pylibsrtp.Session(policy)
