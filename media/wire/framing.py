"""ChannelData, and where one message ends and the next begins on a stream (TCP, TLS).

ChannelData: 2 bytes channel number (first byte 0x40..0x7F), 2 bytes length, the data. On a stream
each message is padded to 4 bytes; the padding is not counted in its length.
"""

from __future__ import annotations

from media.wire.stun import HEADER_BYTES

FIRST_CHANNEL = 0x4000
LAST_CHANNEL = 0x7FFF
"""RFC 8656 has 0x4FFF; clients written for RFC 5766 (coturn's among them) choose up to here."""
CHANNEL_HEADER_BYTES = 4
MESSAGE_BYTES = 65_535 + HEADER_BYTES + 3


def is_channel(first_byte: int) -> bool:
    return 0x40 <= first_byte <= 0x7F


def padded(message: bytes) -> bytes:
    """As a stream wants it; STUN messages are a multiple of 4 anyway."""
    return message + bytes(-len(message) & 3) if len(message) & 3 else message


class Stream:
    """Cuts what a stream brings into messages. Holds at most one unfinished message. A stream
    begins with STUN: a client has no channel before it asked for one.
    """

    def __init__(self) -> None:
        self._waiting = b""
        self._begun = False

    @property
    def waiting_bytes(self) -> int:
        return len(self._waiting)

    def feed(self, data: bytes) -> list[bytes] | None:
        """Whole messages, without padding; None: this is neither STUN nor ChannelData, close."""
        data = self._waiting + data if self._waiting else data
        messages = []
        at, end = 0, len(data)
        while end - at >= 4:
            first, size = data[at], data[at + 2] << 8 | data[at + 3]
            if first <= 1:
                # The methods in use begin with 0 or 1: a stream of anything else is noise.
                size += HEADER_BYTES
                self._begun = True
            elif is_channel(first) and self._begun:
                size += CHANNEL_HEADER_BYTES
            else:
                return None
            behind = at + (size + 3 & ~3 if is_channel(first) else size)
            if behind > end:
                break
            messages.append(data[at : at + size])
            at = behind
        self._waiting = data[at:]
        return messages
