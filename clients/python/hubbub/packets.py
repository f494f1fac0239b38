"""Engine.IO 4 and Socket.IO 5 text packets of the namespace `/`, without I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

SEPARATOR = "\x1e"
"""Between packets of one long-polling body."""


@dataclass(frozen=True, slots=True)
class Open:
    """Engine.IO handshake. Silence longer than `silence_s` means that the line is dead."""

    sid: str
    silence_s: float


@dataclass(frozen=True, slots=True)
class Close:
    """Either layer said goodbye."""


@dataclass(frozen=True, slots=True)
class Ping:
    data: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The namespace is connected."""


@dataclass(frozen=True, slots=True)
class Refused:
    """CONNECT_ERROR; `code` is the wire contract's."""

    code: str
    retry_after_s: float | None


@dataclass(frozen=True, slots=True)
class Received:
    """An event of the server; `payload` is its undecoded first argument."""

    name: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Ack:
    id: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Unknown:
    """Not for us: a noop, another namespace, or something newer."""


Packet: TypeAlias = Open | Close | Ping | Accepted | Refused | Received | Ack | Unknown

_arguments = msgspec.json.Decoder(list[msgspec.Raw])
_encode = msgspec.json.Encoder().encode


def read(text: str) -> Packet:
    """Read one Engine.IO packet. Raises ValueError on one that makes no sense."""
    kind = text[:1]
    if kind == "4":
        return _read_message(text[1:])
    if kind == "2":
        return Ping(text[1:])
    if kind == "0":
        hello = msgspec.json.decode(text[1:], type=dict[str, Any])
        silence_ms = hello["pingInterval"] + hello["pingTimeout"]
        return Open(str(hello["sid"]), silence_ms / 1000)
    return Close() if kind == "1" else Unknown()


def connect(token: str) -> str:
    return "40" + _encode({"token": token}).decode()


def pong(data: str) -> str:
    return "3" + data


def event(name: str, payload: object, ack_id: int | None) -> str:
    number = "" if ack_id is None else str(ack_id)
    return f"42{number}{_encode([name, payload]).decode()}"


def _read_message(text: str) -> Packet:
    kind, rest = text[:1], text[1:]
    if kind in "23" and not rest.startswith("/"):
        digits = len(rest) - len(rest.lstrip("0123456789"))
        number, arguments = rest[:digits], _arguments.decode(rest[digits:] or "[]")
        if kind == "3":
            return Ack(int(number), bytes(arguments[0]) if arguments else b"null")
        name = msgspec.json.decode(arguments[0], type=str)
        return Received(name, bytes(arguments[1]) if len(arguments) > 1 else b"{}")
    if kind == "0":
        return Accepted()
    if kind == "4":
        return _read_refusal(rest)
    return Close() if kind == "1" else Unknown()


def _read_refusal(text: str) -> Refused:
    wire = msgspec.json.decode(text or "{}", type=dict[str, Any])
    data = wire.get("data") or {}
    code = str(data.get("code") or wire.get("message") or "internal")
    return Refused(code, data.get("retry_after_s"))
