"""`hubbub chat` in a plain terminal: log in, open a room, write, leave."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.cli.test_commands import hubbub
from tests.support.process import ROOT, start_server
from tests.support.sdk_callers import people

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


@pytest.mark.slow
async def test_a_plain_terminal_says_who_calls_and_what_was_missed(tmp_path: Path):
    with start_server(tmp_path / "data") as server:
        async with people(server.base_url) as opened:
            carol, dave = await opened.join("carol"), await opened.join("dave")
            room = await opened.direct(dave, carol.id)
            terminal = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "server.main", "chat", server.base_url,
                cwd=ROOT, env={**os.environ, "HOME": str(tmp_path), "TERM": "dumb"},
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            assert terminal.stdin is not None
            assert terminal.stdout is not None
            terminal.stdin.write(b"carol\na long one for carol\n/open 1\n")
            async with asyncio.timeout(20):
                await terminal.stdout.readuntil(b"Anything else")

                call = await room.call()
                calls = await terminal.stdout.readuntil(b"calls you")
                await call.leave()
                missed = await terminal.stdout.readuntil(b"missed call")
                terminal.stdin.write(b"/quit\n")
                await terminal.wait()

    assert b"dave calls you" in calls
    assert b"It rings no more." in missed
