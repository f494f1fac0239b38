"""JSON as the wire contract wants it: one encoder for all, and a strict reading of what clients
send.
"""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec

from server.kernel.errors import Invalid

MAX_DEPTH = 32
MAX_INTEGER = 2**53 - 1
"""PROTOCOL section 5: what a double holds exactly."""

_encoder = msgspec.json.Encoder()
_canonical = msgspec.json.Encoder(order="sorted")

encode = _encoder.encode
"""bytes of a JSON-compatible value or msgspec Struct; None members of Structs with omit_defaults
go away.
"""

canonical = _canonical.encode
"""The same value always gives the same bytes: for digests."""


def decode_strict(raw: bytes | str) -> Any:
    """Decode JSON from a client by every rule of PROTOCOL section 5 "Parsing".

    Raises:
        Invalid: not JSON, NaN or infinite, an integer beyond 2**53-1, a duplicate key, a key named
            `_placeholder`, deeper than 32, a lone surrogate or U+0000.
    """
    try:
        text = raw if isinstance(raw, str) else raw.decode("utf-8")
        value = _decoder.decode(text)
    except RecursionError:
        raise Invalid("The payload is nested too deeply: at most 32 levels.") from None
    except ValueError:
        raise Invalid("The payload is not valid JSON.") from None
    if _needs_a_look(text):
        check_value(value)
    return value


def _needs_a_look(text: str) -> bool:
    """Whether strings, keys or depth may break a rule; the decoder looks at numbers and twins.

    In ASCII without escapes a string is what stands there: no surrogate, no U+0000 (JSON forbids it
    bare), no key in disguise. Saves 2 us for each message.
    """
    return (
        not text.isascii()
        or "\\u" in text
        or "_placeholder" in text
        or text.count("[") + text.count("{") > MAX_DEPTH
    )


def check_value(value: Any, depth: int = 0) -> None:
    """Refuse what no client may bring in, in an already decoded value. Raises Invalid."""
    if isinstance(value, str):
        check_text(value)
    elif isinstance(value, dict):
        _check_depth(depth)
        for key, member in value.items():
            check_text(key)
            if key == "_placeholder":
                raise Invalid("No key may be named _placeholder.")
            check_value(member, depth + 1)
    elif isinstance(value, list):
        _check_depth(depth)
        for member in value:
            check_value(member, depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise Invalid("Numbers must be finite.")
    elif isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise Invalid("Integers must lie within ±(2^53-1).")


def check_text(text: str) -> None:
    if "\0" in text:
        raise Invalid("Text must not contain U+0000.")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise Invalid("Text must be well-formed Unicode.") from None


def _check_depth(depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise Invalid("The payload is nested too deeply: at most 32 levels.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Invalid("A key stands twice in one object.")
    return members


def _no_constant(name: str) -> Any:
    raise Invalid("Numbers must be finite.")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise Invalid("Numbers must be finite.")
    return value


def _exact(text: str) -> int:
    # The length first: converting thousands of digits takes its time.
    value = int(text) if len(text) <= 17 else MAX_INTEGER + 1
    if abs(value) > MAX_INTEGER:
        raise Invalid("Integers must lie within ±(2^53-1).")
    return value


_decoder = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite, parse_int=_exact
)
