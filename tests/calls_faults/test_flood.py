"""P5 at the media port: a stranger's flood costs a call next to nothing, and no memory."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from typing import Any

import pytest

from media.wire.stun import ALLOCATE, build
from tests.calls_faults.relayed import MediaProcess, Talk, media_process
from tests.support.process import ROOT

pytestmark = pytest.mark.slow
RATE, SECONDS = 20_000, 5.0
TALK_LOSS = 0.01
GROWN_KIB = 8_192
PER_HOST = 100
ATTEMPTS = 3
"""A machine that gives the relay no time makes it lose: the best of them is what it can."""


async def flooded(process: MediaProcess, rate: int, seconds: float) -> dict[str, Any]:
    host, port = process.udp
    attacker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.calls_faults.flood", host, str(port),
        "--rate", str(rate), "--seconds", str(seconds), cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(3 * seconds + 30):
            told, _ = await attacker.communicate()
    finally:
        if attacker.returncode is None:
            attacker.kill()
            await attacker.wait()
    found: dict[str, Any] = json.loads(told)
    return found


async def call_in_a_flood(capsys: pytest.CaptureFixture[str]) -> float:
    """The call's loss."""
    async with media_process() as process:
        talk = Talk()
        await talk.open(process)
        quiet = process.resident_kib
        told, _ = await asyncio.gather(flooded(process, RATE, SECONDS), talk.goes_on(SECONDS + 1.0))
        grown = process.resident_kib - quiet
        talk.close()

    with capsys.disabled():
        sys.stdout.write(
            f"\nflood {told}; the call: loss {talk.loss:.2%}, p99 {talk.p99_ms} ms; {grown:+} KiB\n"
        )
    assert told["sent"] >= 0.8 * RATE * SECONDS
    assert told["longest_answer"] <= 160
    # 20 in any second, so 20 more than 20 a second.
    assert told["most_answers"] <= 20 * (int(told["seconds"]) + 1)
    assert grown <= GROWN_KIB
    return talk.loss


async def test_a_flood_of_20000_packets_a_second_does_not_reach_a_relayed_call(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lost = [await call_in_a_flood(capsys)]
    while min(lost) > TALK_LOSS and len(lost) < ATTEMPTS:
        lost.append(await call_in_a_flood(capsys))

    assert min(lost) <= TALK_LOSS


async def connection(process: MediaProcess, source: str) -> socket.socket:
    loop = asyncio.get_running_loop()
    made = socket.socket()
    made.setblocking(False)
    made.bind((source, 0))
    await loop.sock_connect(made, process.tcp)
    return made


async def test_connections_that_say_little_are_bounded_and_others_get_in() -> None:
    """TCP: half an opening, a slow one, half a TLS handshake, none at all."""
    starts = [
        b"",
        b"\0",
        build(ALLOCATE, bytes(12))[:9],
        b"\x16\x03\x01\x40\0\x01",
        b"\0\x14\0\x01",
    ]
    async with media_process() as process:
        quiet = process.resident_kib
        opened = [await connection(process, f"127.9.1.{n % 5 + 1}") for n in range(700)]
        for number, one in enumerate(opened):
            one.send(starts[number % len(starts)])
        talk = Talk("tcp")
        await talk.open(process)
        for round_ in range(6):
            for one in opened[:: 5 + round_]:
                try:
                    one.send(b"\0")
                except OSError:
                    continue
            await talk.goes_on(0.1)
        grown = process.resident_kib - quiet
        ended = sum(is_ended(one) for one in opened)
        talk.close()
        for one in opened:
            one.close()

    assert talk.loss == 0
    assert ended >= 700 - 5 * PER_HOST
    assert grown <= GROWN_KIB


def is_ended(one: socket.socket) -> bool:
    try:
        return one.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
