"""A line with Alice and Bob in a direct room, each with two devices, and a room of four."""

from __future__ import annotations

import pytest

from tests.support.call_line import Line


@pytest.fixture
def line() -> Line:
    line = Line()
    line.room("duo", "alice", "bob")
    line.room("garden", "alice", "bob", "carol", "dave")
    for name in ("alice", "alice.laptop", "bob", "bob.laptop", "carol", "dave"):
        line.phone(name)
    return line
