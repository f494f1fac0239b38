"""Engine.IO 4 packets: a type digit and data; several in a polling payload, parted by 0x1e.

A packet is a str with its digit ("4hello") or, for a binary message, bytes without one (a binary
WebSocket frame; "b" and base64 in a polling payload).

Source: https://socket.io/docs/v4/engine-io-protocol/, "Packet encoding".
"""

from __future__ import annotations

import base64
import binascii

import msgspec

from server.hub.engineio.api import Options

Packet = str | bytes

CLOSE = "1"
PING = "2"
PONG = "3"
MESSAGE = "4"
UPGRADE = "5"
NOOP = "6"
PROBE_PING = "2probe"
PROBE_PONG = "3probe"

SEPARATOR = "\x1e"
_TYPES = frozenset("0123456")


def open_packet(sid: str, options: Options, *, upgradable: bool) -> str:
    """The first packet of a session. Durations are whole milliseconds, also of 0.3 s."""
    announced = {
        "sid": sid,
        "upgrades": ["websocket"] if upgradable else [],
        "pingInterval": round(options.ping_interval_s * 1000),
        "pingTimeout": round(options.ping_timeout_s * 1000),
        "maxPayload": options.max_payload,
    }
    return "0" + msgspec.json.encode(announced).decode()


def polling_text(packet: Packet) -> str:
    """How a polling payload carries the packet."""
    if isinstance(packet, str):
        return packet
    return "b" + base64.b64encode(packet).decode()


def split_payload(body: bytes) -> list[Packet] | None:
    """The packets of a polling payload in order; None when any of it is malformed."""
    try:
        return [_packet(part) for part in body.decode("utf-8").split(SEPARATOR)]
    except (UnicodeDecodeError, binascii.Error, ValueError):
        return None


def _packet(part: str) -> Packet:
    if part[:1] in _TYPES and part:
        return part
    if part[:1] == "b":
        return base64.b64decode(part[1:], validate=True)
    raise ValueError("unknown packet type")
