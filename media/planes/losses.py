"""How much RTP of a connection never arrived, by the gaps in its sequence numbers."""

from __future__ import annotations

from media.wire.demux import ssrc_of

STREAMS = 64
"""SSRCs of one connection that are followed; further ones are not counted."""
_JUMP = 3_000
"""A larger step is a sender that began anew: RFC 3550, appendix A.1 (MAX_DROPOUT)."""


class _Stream:
    __slots__ = ("extended", "first", "received")

    def __init__(self, sequence: int) -> None:
        self.first = self.extended = sequence
        self.received = 0


class Losses:
    """Call `arrived` with each authentic RTP packet, once."""

    def __init__(self) -> None:
        self._streams: dict[int, _Stream] = {}
        self._before = 0

    @property
    def ssrcs(self) -> tuple[int, ...]:
        return tuple(self._streams)

    @property
    def lost(self) -> int:
        """Never below 0: a late packet is taken back out, a repeated one may hide a loss."""
        return self._before + sum(_missing(stream) for stream in self._streams.values())

    def arrived(self, packet: bytes) -> bool:
        """Whether it is the first of its stream."""
        ssrc, sequence = ssrc_of(packet), packet[2] << 8 | packet[3]
        stream = self._streams.get(ssrc)
        if stream is None:
            if len(self._streams) >= STREAMS:
                return False
            stream = self._streams[ssrc] = _Stream(sequence)
            stream.received = 1
            return True
        step = (sequence - stream.extended) & 0xFFFF
        if step < _JUMP:
            stream.extended += step
        elif step < 0x10000 - _JUMP:
            self._before += _missing(stream)
            self._streams[ssrc] = stream = _Stream(sequence)
        stream.received += 1
        return False


def _missing(stream: _Stream) -> int:
    return max(0, stream.extended - stream.first + 1 - stream.received)
