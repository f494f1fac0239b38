"""The HTTP routes of calls' quality (docs/protocol.md, "Quality of a call")."""

from __future__ import annotations

from server.kernel.events import Request, RouteTable
from signaling.quality.service import Quality
from signaling.quality.shapes import PostQuality, QualityOfCall, QualitySoFar

routes = RouteTable()
PATH = "/api/v1/calls/{call_id}/quality"


@routes.on("POST", PATH, body=PostQuality, answer=QualitySoFar)
async def post_quality(request: Request, quality: Quality) -> QualitySoFar:
    """Tell what this device measured in a call."""
    return await quality.post(request.by, request.path["call_id"], request.body)


@routes.on("GET", PATH, answer=QualityOfCall)
async def quality_of_call(request: Request, quality: Quality) -> QualityOfCall:
    """How good a call was for each who was in it, and why."""
    return await quality.of_call(request.by, request.path["call_id"])
