"""docs/calls.md draws the states that the code has."""

from __future__ import annotations

import re
from pathlib import Path

from signaling.states import CALL_MOVES, DEVICE_MOVES

PAGE = (Path(__file__).parents[2] / "docs/calls.md").read_text("utf-8")
CALLS, DEVICES = re.findall(r"```mermaid\n(.*?)```", PAGE, re.S)


def drawn(diagram: str) -> set[tuple[str, str, str]]:
    """(state, event, state)"""
    arrows = re.findall(r"^ +(\S+) --> (\S+): (\S+)$", diagram, re.M)
    return {(before.replace("[*]", "new"), event, after) for before, after, event in arrows}


def test_the_states_of_a_call_are_drawn_as_they_are() -> None:
    assert drawn(CALLS) == {(*move, after) for move, after in CALL_MOVES.items()}


def test_the_states_of_a_device_are_drawn_as_they_are() -> None:
    assert drawn(DEVICES) == {(*move, after) for move, after in DEVICE_MOVES.items()}


def test_every_move_of_a_call_is_explained() -> None:
    explained = set(re.findall(r"^\| `(\w+)` \|", PAGE.split("## The states of a device")[0], re.M))

    assert explained == {event for _, event in CALL_MOVES}
