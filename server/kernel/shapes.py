"""From decoded JSON to a declared Struct; what does not fit becomes `Invalid` with its field."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from server.kernel.errors import Invalid

_T = TypeVar("_T")
_AT = re.compile(r" - at (?:key in )?`\$\.?(?P<path>[^`]*)`\Z")
_NAMED = re.compile(r"(?:unknown|required) field `(?P<name>[^`]*)`")


def fit(value: Any, shape: type[_T]) -> _T:
    """`value` (decoded and checked by `server.kernel.json`) as a `shape`.

    Raises:
        Invalid: it does not fit; `field` is the dotted path, `a.b` (list places are left out).
    """
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise refusal(error) from None


def refusal(error: msgspec.ValidationError) -> Invalid:
    text = str(error)
    at = _AT.search(text)
    path = re.sub(r"\[[^\]]*\]", "", at["path"]) if at else ""
    what = text[: at.start()] if at else text
    named = _NAMED.search(what)
    parts = [part for part in (path, named["name"] if named else "") if part]
    field = ".".join(parts)[:200] or None
    if "unknown field" in what:
        what = "There is no such field"
    elif what.startswith(("Invalid enum value", "Invalid value")):
        what = "The value is none of those allowed"
    return Invalid(f"{what.replace('`', '')}.", field=field)
