"""WebSocket frames from clients, read without I/O, and control frames to them.

Layout: FIN 1 bit, RSV 3, opcode 4; MASK 1, length 7 (126: 2 bytes follow, 127: 8 bytes); 4 bytes
masking key; payload XOR key. Source: RFC 6455, section 5.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass

TEXT = 0x1
BINARY = 0x2
CLOSE = 0x8
PING = 0x9
PONG = 0xA

NORMAL = 1000
PROTOCOL_ERROR = 1002
NOT_UTF8 = 1007
TOO_BIG = 1009

FRAMES_PER_TURN = 100
"""At 50 us of work for each message, one client holds the loop for 5 ms."""


@dataclass(frozen=True, slots=True)
class Ping:
    payload: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    payload: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """The peer closes. `code` is 1005 when it gave none."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Violation:
    """The peer broke the protocol: close with this code. Always the last event."""

    code: int
    reason: str


Event = str | bytes | Ping | Pong | Close | Violation
"""str: a text message, bytes: a binary one."""


class FrameReader:
    """Turns chunks into events. Nothing raises; memory is bounded by `max_size` and one chunk.

    `more` is True while whole frames may be left: call `receive(b"")` in the next turn.
    """

    __slots__ = ("_buffer", "_done", "_message", "_need", "more")

    def __init__(self) -> None:
        self._buffer: bytearray | None = None
        self._message: _Fragments | None = None
        self._need = 0
        self._done = False
        self.more = False

    def receive(self, data: bytes, max_size: int, limit: int = FRAMES_PER_TURN) -> Sequence[Event]:
        """The events that `data` completes, at most `limit` frames of them.

        Args:
            max_size: bytes of one message, fragments together; above it the violation is 1009.
        """
        if self._buffer is None and self._message is None and not self._done:
            # The common case: one whole text frame in one chunk.
            size = len(data)
            if size > 5 and data[0] == 0x81:
                length = data[1] - 0x80
                if 0 <= length < 126:
                    start = 6
                elif length == 126 and size > 8:
                    length = data[2] << 8 | data[3]
                    start = 8 if length > 125 else size
                else:
                    start = size
                if start + length == size and length <= max_size:
                    try:
                        return (str(_unmask(data[start:], data[start - 4 : start]), "utf-8"),)
                    except UnicodeDecodeError:
                        return self._fail(NOT_UTF8, "text is not UTF-8")
        return self._receive(data, max_size, limit)

    def _receive(self, data: bytes, max_size: int, limit: int) -> Sequence[Event]:
        if self._done:
            return ()
        buffer: bytes | bytearray = data
        if self._buffer is not None:
            buffer = self._buffer
            self._buffer += data
            if len(buffer) < self._need:
                return ()
        events: list[Event] = []
        position = frames = 0
        self.more = False
        while not self._done:
            if frames == limit:
                self.more = True
                break
            end = self._frame(buffer, position, max_size, events)
            if end == 0:
                break
            position = end
            frames += 1
        self._keep(buffer, position)
        return events

    def _keep(self, buffer: bytes | bytearray, position: int) -> None:
        """Hold on to what is not read yet; nothing is held between frames."""
        self._need -= position
        if position == len(buffer) or self._done:
            self._buffer = None
            self.more = False
        elif isinstance(buffer, bytearray):
            del buffer[:position]
        else:
            self._buffer = bytearray(memoryview(buffer)[position:])

    def _frame(self, buffer: bytes | bytearray, at: int, max_size: int, events: list[Event]) -> int:
        """Read the frame at `at`. Returns where it ends, or 0 when it is not whole yet."""
        self._need = at + 2
        if len(buffer) < self._need:
            return 0
        first, length = buffer[at], buffer[at + 1] - 0x80
        fault = self._check_head(first, length)
        if fault is not None:
            events.extend(self._fail(PROTOCOL_ERROR, fault))
            return at + 2
        start = at + 2
        if length > 125:
            wide = 2 if length == 126 else 8
            start += wide
            self._need = start
            if len(buffer) < start:
                return 0
            length = int.from_bytes(buffer[start - wide : start], "big")
            if length < (126 if wide == 2 else 65_536) or length >> 63:
                events.extend(self._fail(PROTOCOL_ERROR, "length is not minimal"))
                return start
        held = self._message.size if self._message is not None and first & 0xF < CLOSE else 0
        if held + length > max_size and first & 0xF < CLOSE:
            events.extend(self._fail(TOO_BIG, "message too big"))
            return start
        start += 4
        end = self._need = start + length
        if len(buffer) < end:
            return 0
        payload = _unmask(bytes(buffer[start:end]), bytes(buffer[start - 4 : start]))
        self._take(first, payload, events)
        return end

    def _check_head(self, first: int, length: int) -> str | None:
        """Section 5.2 and 5.5: what the first two bytes may say."""
        opcode = first & 0xF
        if first & 0x70:
            return "reserved bits are set"
        if length < 0:
            return "client frames must be masked"
        if opcode >= CLOSE:
            if opcode > PONG:
                return "reserved opcode"
            if not first & 0x80 or length > 125:
                return "control frames are whole and short"
        elif opcode > BINARY:
            return "reserved opcode"
        elif opcode == 0 and self._message is None:
            return "nothing to continue"
        elif opcode != 0 and self._message is not None:
            return "the message before is not finished"
        return None

    def _take(self, first: int, payload: bytes, events: list[Event]) -> None:
        opcode, final = first & 0xF, first & 0x80
        if opcode == PING:
            events.append(Ping(payload))
        elif opcode == PONG:
            events.append(Pong(payload))
        elif opcode == CLOSE:
            events.append(read_close(payload))
            self._done = True
        else:
            self._data(opcode, bool(final), payload, events)

    def _data(self, opcode: int, final: bool, payload: bytes, events: list[Event]) -> None:
        try:
            if opcode != 0 and final:
                events.append(payload if opcode == BINARY else str(payload, "utf-8"))
                return
            if self._message is None:
                self._message = _Fragments(opcode == TEXT)
            self._message.add(payload, final)
        except UnicodeDecodeError:
            events.extend(self._fail(NOT_UTF8, "text is not UTF-8"))
            return
        if final:
            events.append(self._message.whole())
            self._message = None

    def _fail(self, code: int, reason: str) -> tuple[Violation]:
        self._done = True
        self._buffer = None
        self._message = None
        return (Violation(code, reason),)


class _Fragments:
    """A message that comes in several frames; text is checked as it comes (section 8.1)."""

    __slots__ = ("_data", "_decoder")

    def __init__(self, text: bool) -> None:
        self._data = bytearray()
        self._decoder = codecs.getincrementaldecoder("utf-8")() if text else None

    @property
    def size(self) -> int:
        return len(self._data)

    def add(self, payload: bytes, final: bool) -> None:
        if self._decoder is not None:
            self._decoder.decode(payload, final)
        self._data += payload

    def whole(self) -> str | bytes:
        return bytes(self._data) if self._decoder is None else str(self._data, "utf-8")


def _unmask(payload: bytes, key: bytes) -> bytes:
    """XOR with the repeated key as one long integer: 0.5 us for 130 bytes, linear in the size."""
    size = len(payload)
    pad = (key * (size + 3 >> 2))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(pad, "little")).to_bytes(
        size, "little"
    )


def read_close(payload: bytes) -> Close | Violation:
    """Section 5.5.1: two bytes of code and a UTF-8 reason, or nothing at all."""
    if not payload:
        return Close(1005, "")
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not close_code_may_be_sent(code):
        return Violation(PROTOCOL_ERROR, "bad close code")
    try:
        return Close(code, payload[2:].decode("utf-8"))
    except UnicodeDecodeError:
        return Violation(NOT_UTF8, "close reason is not UTF-8")


def close_code_may_be_sent(code: int) -> bool:
    """Section 7.4: 1004-1006 and 1015 never travel, 1012-1014 came later and are not in it."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1011 or 3000 <= code <= 4999


def close_frame(code: int, reason: str = "") -> bytes:
    """A close frame; the reason is cut to the 123 bytes there are. Code 1005: an empty one."""
    if code == 1005:
        return b"\x88\x00"
    text = reason.encode()[:123].decode("utf-8", "ignore").encode()
    return b"\x88%c" % (len(text) + 2) + code.to_bytes(2, "big") + text


def pong_frame(payload: bytes) -> bytes:
    return b"\x8a%c" % len(payload) + payload
