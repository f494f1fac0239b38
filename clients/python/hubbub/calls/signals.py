"""Reads what another device sent by `call:signal`: our shape and those that others commonly send.

Ours is `{type: "offer"|"answer", sdp, sources?}` and `{type: "candidate", candidate|null}`, each
with `from?` (the sender's peer connection) and `to?` (the one it is meant for). Also taken:
`{description: {type, sdp}}`, `{sdp: {type, sdp}}`, `{candidate: {...}}` and
`{candidate: "candidate:...", sdpMid}` without a type. Nothing here raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

SDP_MOST = 65_536
CANDIDATE_MOST = 1_024
ID_MOST = 64
SOURCES_MOST = 24
SOURCES = ("mic", "camera", "screen", "screen_audio")


@dataclass(frozen=True, slots=True)
class Ends:
    """Of which peer connection, for which; empty where the sender does not tell."""

    from_id: str = ""
    to_id: str = ""


@dataclass(frozen=True, slots=True)
class Description:
    """`sources`: mid -> source, of what the sender sends."""

    type: Literal["offer", "answer"]
    sdp: str
    sources: Mapping[str, str]
    ends: Ends = Ends()


@dataclass(frozen=True, slots=True)
class Candidate:
    """`line` without `a=`, beginning with `candidate:`; empty: there are no more."""

    line: str
    mid: str | None = None
    index: int | None = None
    ends: Ends = Ends()


Signal: TypeAlias = Description | Candidate


def read_signal(raw: object) -> Signal | None:
    """None: nothing of a connection, or malformed."""
    if not isinstance(raw, dict):
        return None
    ends = Ends(_id(raw.get("from")), _id(raw.get("to")))
    for inner in (raw, raw.get("description"), raw.get("sdp")):
        if isinstance(inner, dict) and inner.get("type") in ("offer", "answer"):
            return _description(inner, raw.get("sources"), ends)
    if "candidate" in raw:
        return _candidate(raw, ends)
    return None


def _description(raw: dict[str, Any], sources: object, ends: Ends) -> Description | None:
    sdp = raw.get("sdp")
    if not isinstance(sdp, str) or not sdp.startswith("v=0") or len(sdp) > SDP_MOST:
        return None
    return Description(raw["type"], sdp, _sources(sources), ends)


def _sources(raw: object) -> dict[str, str]:
    if not isinstance(raw, dict):
        return {}
    known = [
        (mid, source)
        for mid, source in raw.items()
        if isinstance(mid, str) and len(mid) <= ID_MOST and source in SOURCES
    ]
    return dict(known[:SOURCES_MOST])


def _candidate(raw: dict[str, Any], ends: Ends) -> Candidate | None:
    inner = raw["candidate"]
    if inner is None:
        return Candidate("", ends=ends)
    fields = inner if isinstance(inner, dict) else raw
    line, mid, index = (fields.get(name) for name in ("candidate", "sdpMid", "sdpMLineIndex"))
    if not isinstance(line, str) or len(line) > CANDIDATE_MOST:
        return None
    return Candidate(
        line.removeprefix("a="),
        mid if isinstance(mid, str) and len(mid) <= ID_MOST else None,
        index if type(index) is int and 0 <= index < SOURCES_MOST else None,
        ends,
    )


def _id(raw: object) -> str:
    return raw if isinstance(raw, str) and len(raw) <= ID_MOST else ""
