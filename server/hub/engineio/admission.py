"""Which requests may open or go on with a session, and the errors that the others get."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_plus

import msgspec


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP error with the body that Engine.IO clients know: `{"code": n, "message": "..."}`."""

    code: int
    message: str
    status: int = 400

    def body(self) -> bytes:
        return msgspec.json.encode({"code": self.code, "message": self.message})


UNKNOWN_TRANSPORT = Refusal(0, "Transport unknown")
UNKNOWN_SID = Refusal(1, "Session ID unknown")
BAD_METHOD = Refusal(2, "Bad handshake method")
BAD_REQUEST = Refusal(3, "Bad request")
FORBIDDEN = Refusal(4, "Forbidden", 403)
BAD_VERSION = Refusal(5, "Unsupported protocol version")
TOO_LARGE = Refusal(3, "Payload too large", 413)
SHUTTING_DOWN = Refusal(3, "Shutting down", 503)
TOO_SLOW = Refusal(3, "The request body did not arrive in time", 408)


def parse_query(text: str) -> dict[str, str]:
    """Parameters by name, the last of equal names; what has no value has an empty one."""
    found: dict[str, str] = {}
    for pair in text.split("&"):
        name, _, value = pair.partition("=")
        if "%" in pair or "+" in pair:
            name, value = unquote_plus(name), unquote_plus(value)
        if name:
            found[name] = value
    return found


def check_query(query: Mapping[str, str], transport: str) -> Refusal | None:
    """EIO must be 4 and `transport` the one that the request really uses; the rest is free."""
    if query.get("transport") not in ("polling", "websocket"):
        return UNKNOWN_TRANSPORT
    if query.get("EIO") != "4":
        return BAD_VERSION
    if query["transport"] != transport:
        return BAD_REQUEST
    return None


def check_origin(headers: Mapping[str, str], allowed: tuple[str, ...]) -> Refusal | None:
    """A page of another origin may call only when it is allowed; programs send no Origin.

    `headers`: names in lower case.
    """
    origin = headers.get("origin")
    if origin is None or "*" in allowed or origin in allowed:
        return None
    if origin.partition("://")[2].lower() == headers.get("host", "").lower() != "":
        return None
    return FORBIDDEN
