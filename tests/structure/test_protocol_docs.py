"""docs/protocol.md, OpenAPI and the route tables say the same."""

from __future__ import annotations

import re
from pathlib import Path

from server.accounts.routes import routes as account_routes
from server.chat.wiring import events as chat_events
from server.chat.wiring import routes as chat_routes
from server.presence.handlers import events as presence_events
from signaling.handlers import events as call_events
from signaling.quality.routes import routes as quality_routes

PAGE = (Path(__file__).parents[2] / "docs/protocol.md").read_text("utf-8")
TABLES = "\n".join(line for line in PAGE.splitlines() if line.startswith("|"))
OPERATIONAL = {"/healthz", "/readyz", "/metrics"}


def calls(text: str) -> set[tuple[str, str]]:
    """(method, path) with every {name} made {}, whatever it is called."""
    found = re.findall(r"`(GET|POST|PUT|PATCH|DELETE) (/[^ `?]*)", text)
    return {(method, re.sub(r"{[^}]*}", "{}", path)) for method, path in found}


def test_every_route_is_documented_and_every_documented_route_is_there() -> None:
    tables = (account_routes, chat_routes, quality_routes)
    bound = [route for table in tables for route in table.bind(None)]
    served = {(b.route.method, re.sub(r"{[^}]*}", "{}", b.route.path)) for b in bound}

    documented = {call for call in calls(TABLES) if call[1] not in OPERATIONAL}

    assert documented == served


def test_every_event_is_documented_and_every_documented_event_is_there() -> None:
    tables = (chat_events, presence_events, call_events)
    served = {event.name for table in tables for event in table.bind(None)}

    documented = set()
    for part in PAGE.split("| from the client |")[1:]:
        for line in part.split("| from the server |")[0].splitlines():
            if line.startswith("| `"):
                documented |= set(re.findall(r"`([a-z]+(?::[a-z]+)?)`", line.split("|")[1]))

    assert documented == served
