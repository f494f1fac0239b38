"""What compose takes of calls' quality: a log of ends to give to calls, then routes and numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from server.kernel.clock import Clock
from server.kernel.events import BoundRoute
from server.kernel.tasks import TaskOwner
from signaling.ports import CallLog, Rooms
from signaling.quality.ends import CarriedCalls, KeepEnds, KnownCalls
from signaling.quality.routes import routes
from signaling.quality.service import Quality, QualityLimits
from signaling.quality.upkeep import Upkeep
from storage.api import Store

__all__ = ["FEATURE", "QualityLimits", "QualityPart", "build", "keep_ends", "routes"]

FEATURE = "call_quality"
"""What `GET /api/v1/server` announces."""


class QualityPart(Quality):
    """Quality with what HTTP serves of it. Itself a source for /metrics."""

    routes: Sequence[BoundRoute] = ()


def keep_ends(call_log: CallLog, store: Store, clock: Clock) -> CallLog:
    """To be given to `signaling.wiring.build` as its `call_log`."""
    return KeepEnds(call_log, store.call_quality, clock)


def build(
    store: Store,
    *,
    carried: CarriedCalls | None,
    rooms: Rooms,
    clock: Clock,
    tasks: TaskOwner,
    leads: Callable[[], bool],
    kept_days: int = 0,
    limits: QualityLimits | None = None,
) -> QualityPart:
    """`carried`: the switchboard of this process, where it has one; `leads`: whether this one of
    all nodes clears up; `kept_days`: `log.retention_days`.
    """
    known = KnownCalls(carried, store.calls, store.call_quality)
    quality = QualityPart(store.call_quality, known, rooms, clock, limits)
    quality.routes = routes.bind(quality)
    Upkeep(store.call_quality, clock=clock, leads=leads, days=kept_days).start(tasks)
    return quality
