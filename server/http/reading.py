"""Reads requests strictly: bodies within size and time, queries into their declared shapes."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import msgspec
from aiohttp import web
from msgspec import inspect

from server.http.problems import Refused
from server.kernel import json
from server.kernel.errors import Invalid, NotFound, TooLarge
from server.kernel.shapes import fit

MAX_PATH_VALUE = 128
_INTEGER = re.compile(r"-?[0-9]{1,16}\Z")
_CHARSETS = (None, "utf-8", "utf8", "us-ascii")


class QueryReader:
    """Turns the strings of a query into the declared Struct, by the types of its members."""

    def __init__(self, shape: type[msgspec.Struct]) -> None:
        self._shape = shape
        described = inspect.type_info(shape)
        assert isinstance(described, inspect.StructType)
        self._kinds = {field.encode_name: _kind(field.type) for field in described.fields}

    def read(self, request: web.Request) -> msgspec.Struct:
        """Raises Invalid: unknown, doubled or ill-typed parameters."""
        values: dict[str, Any] = {}
        for name, text in request.rel_url.query.items():
            json.check_text(name)
            kind = self._kinds.get(name)
            if kind is None:
                raise Invalid("There is no such query parameter.", field=name[:64])
            if name in values:
                raise Invalid("A query parameter stands twice.", field=name)
            json.check_text(text)
            values[name] = _typed(kind, name, text)
        return fit(values, self._shape)


async def read_body(
    request: web.Request, shape: type[msgspec.Struct], *, max_bytes: int, time_limit_s: float
) -> msgspec.Struct:
    """The JSON body as `shape`.

    Raises:
        Refused: another media type (415), or it did not arrive in time (408).
        TooLarge: more than `max_bytes`; nothing past them is kept.
        Invalid: not JSON by the strict rules, or not of that shape.
    """
    _check_media_type(request)
    length = request.content_length
    if length is not None and length > max_bytes:
        raise _too_large(max_bytes)
    try:
        async with asyncio.timeout(time_limit_s):
            raw = await _read(request, max_bytes)
    except TimeoutError:
        late = Invalid("The request's body did not arrive in time.")
        raise Refused(late, 408, {"Connection": "close"}) from None
    except (web.HTTPException, ValueError, OSError):
        raise Invalid("The request's body cannot be read.") from None
    return fit(json.decode_strict(raw), shape)


def path_values(request: web.Request) -> dict[str, str]:
    """The values of the route's `{names}`. What could be no id of ours does not exist."""
    values = dict(request.match_info)
    for text in values.values():
        if not 0 < len(text) <= MAX_PATH_VALUE or "\0" in text or not _well_formed(text):
            raise NotFound("There is no such thing.")
    return values


async def _read(request: web.Request, max_bytes: int) -> bytes:
    chunks = bytearray()
    async for chunk in request.content.iter_any():
        chunks += chunk
        if len(chunks) > max_bytes:
            raise _too_large(max_bytes)
    return bytes(chunks)


def _check_media_type(request: web.Request) -> None:
    try:
        kind, charset = request.content_type, request.charset
    except ValueError:
        kind, charset = "", None
    if kind != "application/json" or (charset and charset.lower()) not in _CHARSETS:
        error = Invalid("The body must be application/json in UTF-8.")
        raise Refused(error, 415, {"Accept": "application/json"})


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"The body is larger than {max_bytes} bytes.", data={"max_bytes": max_bytes})


def _kind(described: inspect.Type) -> str:
    if isinstance(described, inspect.UnionType):
        kinds = {_kind(member) for member in described.types} - {"none"}
        return kinds.pop() if len(kinds) == 1 else "text"
    if isinstance(described, inspect.IntType):
        return "integer"
    if isinstance(described, inspect.BoolType):
        return "flag"
    if isinstance(described, inspect.NoneType):
        return "none"
    return "text"


def _typed(kind: str, name: str, text: str) -> Any:
    if kind == "integer":
        if _INTEGER.match(text) is None or abs(int(text)) > json.MAX_INTEGER:
            raise Invalid("This query parameter is an integer.", field=name)
        return int(text)
    if kind == "flag":
        if text not in ("true", "false"):
            raise Invalid("This query parameter is true or false.", field=name)
        return text == "true"
    return text


def _well_formed(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
