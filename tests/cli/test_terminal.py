"""`hubbub chat` in a plain terminal: log in, open a room, write, leave."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.test_commands import hubbub
from tests.support.process import start_server

SCRIPT = "carol\ncorrect horse\n/new Garden\nhello from the terminal\n/who\n/history\n/quit\n"


@pytest.mark.slow
def test_a_person_talks_in_a_plain_terminal(tmp_path: Path):
    data = ("--data", str(tmp_path / "data"))
    with start_server(tmp_path / "data") as server:
        hubbub("user", "add", "carol", *data, typed="correct horse\n")

        home = {**os.environ, "HOME": str(tmp_path), "TERM": "dumb"}
        done = hubbub("chat", server.base_url, typed=SCRIPT, **home)

    assert done.returncode == 0, done.stderr
    assert "hello from the terminal" in done.stdout
    assert "carol (carol), owner" in done.stdout
