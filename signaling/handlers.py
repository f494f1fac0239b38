"""The socket events of calls (PROTOCOL section 3)."""

from __future__ import annotations

from server.kernel.events import Context, EventTable
from signaling.service import Calls
from signaling.shapes import AcceptCall, Joined, MuteTrack, OneCall, SignalDevice, StartCall

events = EventTable()


@events.on("call:start", StartCall)
async def start_call(ctx: Context, cmd: StartCall, calls: Calls) -> Joined:
    return await calls.start_call(ctx, cmd)


@events.on("call:accept", AcceptCall)
async def accept_call(ctx: Context, cmd: AcceptCall, calls: Calls) -> Joined:
    return await calls.accept(ctx, cmd)


@events.on("call:decline", OneCall)
async def decline_call(ctx: Context, cmd: OneCall, calls: Calls) -> dict[str, object]:
    await calls.decline(ctx, cmd)
    return {}


@events.on("call:leave", OneCall)
async def leave_call(ctx: Context, cmd: OneCall, calls: Calls) -> dict[str, object]:
    await calls.leave(ctx, cmd)
    return {}


@events.on("call:end", OneCall)
async def end_call(ctx: Context, cmd: OneCall, calls: Calls) -> dict[str, object]:
    await calls.end(ctx, cmd)
    return {}


@events.on("call:signal", SignalDevice)
async def signal_device(ctx: Context, cmd: SignalDevice, calls: Calls) -> dict[str, object]:
    await calls.signal(ctx, cmd)
    return {}


@events.on("call:mute", MuteTrack)
async def mute_track(ctx: Context, cmd: MuteTrack, calls: Calls) -> dict[str, object]:
    await calls.mute(ctx, cmd)
    return {}
