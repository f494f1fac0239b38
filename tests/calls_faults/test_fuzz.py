"""Each fuzz target for a moment, and what the long runs found, as vectors."""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys

import pytest

from media.srtp import STREAMS
from media.wire import attributes as a
from tests.calls_faults.targets import TARGETS, TurnUsers
from tests.media.test_dtls import keys
from tests.support.one_port import rtp
from tests.support.process import ROOT
from tests.support.turn_house import TurnHouse

ROUNDS = {"dtls": 700, "sctp": 1_200, "streams": 4_000}


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_a_fuzz_target_keeps_its_promises(name: str, seed: int) -> None:
    chance = random.Random(f"{name} {seed}")
    target = TARGETS[name]()

    for _ in range(ROUNDS.get(name, 8_000)):
        target.round(chance)

    # A target that reaches nothing proves nothing.
    assert not isinstance(target, TurnUsers) or target.refused > 50


def test_a_user_who_allocates_and_deletes_in_a_loop_leaves_nothing_behind() -> None:
    house = TurnHouse()
    client = house.client()

    for _ in range(500):
        client.allocate()
        client.refresh((a.LIFETIME, bytes(4)))

    assert len(house.server._tables._deadlines) < 60
    assert house.server.next_deadline() is None or house.open == {}


def test_a_peer_that_invents_streams_does_not_grow_the_session() -> None:
    alice, bob = keys()

    for ssrc in range(5 * STREAMS):
        packet = rtp(1, ssrc)
        protected = alice.protected(packet)
        assert protected is not None
        assert bob.opened(protected) == packet

    assert (alice.streams, bob.streams) == (STREAMS, STREAMS)


def test_a_stream_that_made_room_for_others_is_heard_again() -> None:
    alice, bob = keys()
    for ssrc in range(STREAMS + 1):
        bob.opened(alice.protected(rtp(1, ssrc)) or b"")

    again = alice.protected(rtp(2, 0))

    assert again is not None
    assert bob.opened(again) == rtp(2, 0)


@pytest.mark.slow
def test_the_media_process_may_open_more_files_than_programs_begin_with() -> None:
    """Strangers may hold 4,000 TCP connections: relays of users need theirs beside them."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    code = (
        "import resource, media.process as process; process.raise_file_limit();"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )

    raised = subprocess.run(
        ["sh", "-c", f'ulimit -Sn 1024; exec {sys.executable} -c "{code}"'],
        cwd=ROOT, env=os.environ, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip

    assert int(raised.stdout) == min(hard, 32_768)
