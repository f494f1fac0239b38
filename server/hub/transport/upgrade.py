"""Request heads as far as the port must read them, and the WebSocket handshake.

Source: RFC 6455, section 4.2 (the server's side), RFC 9112, section 3.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455, section 1.3."""

MAX_HEADERS = 100


@dataclass(frozen=True, slots=True)
class Head:
    """A request head. Header names are in lower case; lines of equal names are joined by ", "."""

    method: str
    path: str
    query: str
    version: str
    headers: Mapping[str, str]


def read_head(raw: bytes) -> Head | None:
    """Parse a head without its final empty line; None when it is malformed."""
    lines = raw.decode("latin-1").split("\r\n")
    start = lines[0].split(" ")
    if len(start) != 3 or len(lines) > MAX_HEADERS:
        return None
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name[-1] in " \t" or name[0] in " \t":
            return None
        name, value = name.lower(), value.strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    path, _, query = start[1].partition("?")
    return Head(start[0], path, query, start[2], headers)


def asks_for_websocket(head: Head) -> bool:
    return "websocket" in _tokens(head.headers.get("upgrade", ""))


def check_upgrade(head: Head) -> tuple[int, str] | None:
    """Section 4.2.1, numbered as there. Returns the status and text of a refusal, or None."""
    headers = head.headers
    if head.method != "GET" or head.version != "HTTP/1.1":  # 1
        return 400, "WebSocket needs GET and HTTP/1.1"
    if not headers.get("host"):  # 2
        return 400, "Host is missing"
    if "upgrade" not in _tokens(headers.get("connection", "")):  # 4
        return 400, "Connection must name Upgrade"
    if headers.get("sec-websocket-version") != "13":  # 6
        return 426, "Sec-WebSocket-Version must be 13"
    try:  # 5
        key = base64.b64decode(headers.get("sec-websocket-key", ""), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 16:
        return 400, "Sec-WebSocket-Key must be 16 bytes in base64"
    return None


def accept_response(head: Head) -> bytes:
    """Section 4.2.2, step 5. No extension and no subprotocol is taken."""
    digest = hashlib.sha1(
        head.headers["sec-websocket-key"].encode("latin-1") + _GUID, usedforsecurity=False
    ).digest()
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n" % base64.b64encode(digest)
    )


_REASONS = {
    400: "Bad Request", 403: "Forbidden", 404: "Not Found", 408: "Request Timeout",
    426: "Upgrade Required", 431: "Request Header Fields Too Large", 503: "Service Unavailable",
}  # fmt: skip


def refusal_response(status: int, body: bytes, content_type: str = "application/json") -> bytes:
    """A whole answer after which the connection closes."""
    extra = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" if status == 426 else ""
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\n{extra}Content-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("latin-1") + body


def _tokens(value: str) -> list[str]:
    return [token.strip().lower() for token in value.split(",")]
