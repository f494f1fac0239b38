"""The states of a call and of a device in it, as tables: docs/calls.md draws them, a test compares.

A move that is not in the table is a fault of ours and raises KeyError.
"""

from __future__ import annotations

from typing import Literal

CallState = Literal["new", "ringing", "active", "ended"]
"""`new` is never seen outside."""

EndReason = Literal["hung_up", "declined", "no_answer", "cancelled", "busy", "failed"]
Reason = EndReason | Literal["answered_elsewhere"]

DeviceState = Literal["out", "in", "away", "taking_over"]
"""`away`: its socket is gone and it may come back. `taking_over`: of a user whose other device
stays until this one is connected. `out` is never kept.
"""

CALL_MOVES: dict[tuple[CallState, str], CallState] = {
    ("new", "ring"): "ringing",
    ("new", "open"): "active",  # a large room, or nobody else in it: nothing rings
    ("new", "busy"): "ended",
    ("ringing", "accept"): "active",
    ("ringing", "declined"): "ended",
    ("ringing", "no_answer"): "ended",
    ("ringing", "cancelled"): "ended",
    ("ringing", "failed"): "ended",
    ("active", "hung_up"): "ended",
    ("active", "cancelled"): "ended",  # nobody else ever came
    ("active", "failed"): "ended",
}

DEVICE_MOVES: dict[tuple[DeviceState, str], DeviceState] = {
    ("out", "join"): "in",
    ("out", "take_over"): "taking_over",
    ("in", "vanish"): "away",
    ("away", "return"): "in",
    ("taking_over", "connected"): "in",
    ("taking_over", "vanish"): "out",
    ("taking_over", "leave"): "out",
    ("taking_over", "replaced"): "out",
    ("taking_over", "end"): "out",
    ("taking_over", "removed"): "out",
    ("in", "leave"): "out",
    ("in", "replaced"): "out",
    ("in", "removed"): "out",
    ("in", "end"): "out",
    ("away", "leave"): "out",
    ("away", "replaced"): "out",
    ("away", "removed"): "out",
    ("away", "grace_over"): "out",
    ("away", "end"): "out",
}


def call_after(state: CallState, event: str) -> CallState:
    return CALL_MOVES[state, event]


def device_after(state: DeviceState, event: str) -> DeviceState:
    return DEVICE_MOVES[state, event]
