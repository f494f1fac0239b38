"""The socket events of presence."""

from __future__ import annotations

from server.kernel.events import Context, EventTable
from server.kernel.ids import UserId
from server.presence.service import PresenceService
from server.presence.shapes import SetPresence, WatchPresence

events = EventTable()


@events.on("presence:set", SetPresence)
async def set_presence(
    ctx: Context, cmd: SetPresence, presence: PresenceService
) -> dict[str, object]:
    await presence.set(ctx, cmd)
    return {}


@events.on("presence:watch", WatchPresence)
async def watch_presence(
    ctx: Context, cmd: WatchPresence, presence: PresenceService
) -> dict[str, object]:
    user_ids = [UserId(user_id) for user_id in cmd.user_ids]
    return {"presence": await presence.watch(ctx, user_ids)}
