"""Refusals of the server and breaks of the line, as exceptions with the wire contract's codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class HubbubError(Exception):
    """A request that was not carried out.

    `code` is for programs, `text` for people; `field`, `retry_after_s` and `data` as the server
    gave them.
    """

    code: ClassVar[str] = "internal"

    def __init__(
        self,
        text: str,
        *,
        field: str | None = None,
        retry_after_s: float | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(text)
        self.text = text
        self.field = field
        self.retry_after_s = retry_after_s
        self.data = dict(data or {})


class Invalid(HubbubError):
    code = "invalid"


class Unauthorized(HubbubError):
    """Log in again. With `field` "totp": the account has a second factor."""

    code = "unauthorized"


class Forbidden(HubbubError):
    code = "forbidden"


class NotFound(HubbubError):
    code = "not_found"


class Conflict(HubbubError):
    code = "conflict"


class StaleEpoch(HubbubError):
    code = "stale_epoch"


class TooLarge(HubbubError):
    code = "too_large"


class RateLimited(HubbubError):
    code = "rate_limited"


class Unavailable(HubbubError):
    code = "unavailable"


class Internal(HubbubError):
    code = "internal"


class LineBroken(HubbubError):
    """No connection, or it broke before the answer came: the outcome is unknown."""

    code = "disconnected"


CODES: dict[str, type[HubbubError]] = {
    kind.code: kind
    for kind in (
        Invalid, Unauthorized, Forbidden, NotFound, Conflict, StaleEpoch,
        TooLarge, RateLimited, Unavailable, Internal,
    )
}  # fmt: skip


def error_from(wire: Mapping[str, Any]) -> HubbubError:
    """The exception of an `error` object or of a problem+json body. Unknown codes: HubbubError."""
    kind = CODES.get(str(wire.get("code", "")), HubbubError)
    text = str(wire.get("text") or wire.get("detail") or wire.get("title") or "refused")
    return kind(
        text,
        field=wire.get("field"),
        retry_after_s=wire.get("retry_after_s"),
        data=wire.get("data"),
    )
