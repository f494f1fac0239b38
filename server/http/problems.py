"""Refusals on the wire: RFC 9457 problem details with the members of PROTOCOL section 1."""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web

from server.kernel import json
from server.kernel.errors import AppError

MEDIA_TYPE = "application/problem+json"
NO_STORE = {"Cache-Control": "no-store"}


def problem(
    error: AppError, *, status: int | None = None, headers: Mapping[str, str] | None = None
) -> web.Response:
    """The answer to a refused request. `status` where HTTP has a better one than the code's."""
    code = status or error.status
    members: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(code).phrase,
        "status": code,
        "detail": error.text,
        "code": error.code,
    }
    sent = {**NO_STORE, **(headers or {})}
    if error.field is not None:
        members["field"] = error.field
    if error.data is not None:
        members["data"] = dict(error.data)
    if error.retry_after_s is not None:
        members["retry_after_s"] = error.retry_after_s
        sent["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    if code == HTTPStatus.UNAUTHORIZED:
        sent["WWW-Authenticate"] = "Bearer"
    return web.Response(
        body=json.encode(members), status=code, headers=sent, content_type=MEDIA_TYPE
    )


class Refused(Exception):
    """A refusal with a status or headers of its own (405, 408, 415)."""

    def __init__(self, error: AppError, status: int, headers: Mapping[str, str] | None = None):
        super().__init__(error.text)
        self.error = error
        self.status = status
        self.headers = dict(headers or {})
