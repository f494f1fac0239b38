"""All refusals of the program: one class for each code of the wire contract.

A code is what a program reads, the text is what a person reads: it says what to do next. Anything
that is
not an AppError is a fault of ours: it is logged with its traceback and answered as `internal`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class AppError(Exception):
    """A refusal that the client may see.

    Args:
        text: what happened and what to do, for a person; never a secret, a body or an address.
        field: the dotted path of the offending field, when one is to blame.
        retry_after_s: seconds (> 0) after which the same request may succeed.
        data: further members that a program may use, JSON-compatible.
    """

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500

    def __init__(
        self,
        text: str,
        *,
        field: str | None = None,
        retry_after_s: float | None = None,
        data: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(text)
        self.text = text
        self.field = field
        self.retry_after_s = retry_after_s
        self.data = data

    def to_wire(self) -> dict[str, object]:
        """The `error` object of an acknowledgement (PROTOCOL section 2)."""
        wire: dict[str, object] = {"code": self.code, "text": self.text}
        if self.field is not None:
            wire["field"] = self.field
        if self.retry_after_s is not None:
            wire["retry_after_s"] = self.retry_after_s
        if self.data is not None:
            wire["data"] = dict(self.data)
        return wire


class Invalid(AppError):
    """The request breaks the contract; sending it again unchanged cannot succeed."""

    code = "invalid"
    status = 400


class Unauthorized(AppError):
    """Nobody is logged in, or the proof of it is wrong or over."""

    code = "unauthorized"
    status = 401


class Forbidden(AppError):
    """The caller knows the thing but may not do this."""

    code = "forbidden"
    status = 403


class NotFound(AppError):
    """It does not exist, or the caller may not know that it does."""

    code = "not_found"
    status = 404


class Conflict(AppError):
    """It contradicts what is already there."""

    code = "conflict"
    status = 409


class StaleEpoch(AppError):
    """The MLS epoch of the command is not the log's current one."""

    code = "stale_epoch"
    status = 409


class TooLarge(AppError):
    """Larger than a limit that `GET /api/v1/server` announces."""

    code = "too_large"
    status = 413


class RateLimited(AppError):
    """Too often; `retry_after_s` says when."""

    code = "rate_limited"
    status = 429


class Unavailable(AppError):
    """A part the request needs cannot serve now; nothing was stored."""

    code = "unavailable"
    status = 503


class Internal(AppError):
    """Ours. Carries no detail."""

    def __init__(self) -> None:
        super().__init__("Something went wrong on the server. Please try again.")


CODES: dict[str, type[AppError]] = {
    kind.code: kind
    for kind in (
        Invalid, Unauthorized, Forbidden, NotFound, Conflict, StaleEpoch,
        TooLarge, RateLimited, Unavailable, Internal,
    )
}  # fmt: skip
