"""What presence takes from clients and answers (PROTOCOL sections 2 and 5)."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from server.kernel.ids import Id
from server.presence.signals import Status


class SetPresence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Without `text` there is none any more."""

    status: Literal["online", "away", "busy", "invisible"]
    text: Annotated[str, Meta(max_length=200)] | UnsetType = UNSET


class WatchPresence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    user_ids: Annotated[tuple[Id, ...], Meta(max_length=500)]


class PresenceView(msgspec.Struct, frozen=True, omit_defaults=True):
    status: Status
    text: str | UnsetType = UNSET
    last_seen_at: int | UnsetType = UNSET


class PresenceEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    user_id: str
    status: Status
    text: str | UnsetType = UNSET
    last_seen_at: int | UnsetType = UNSET
