"""The media process as a child: the same transport behind a Unix socket, and its death."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from media import api
from media.connections import ConnectionUp, PlaneReady
from media.planes.child import ChildPlane
from media.planes.frames import FRAME_BYTES, Beat, Configure, Torn, encode, read_command
from media.planes.settings import PlaneSettings
from media.process import Process
from tests.support.one_port import CALL, DEVICE, House, Peer
from tests.support.waiting import until

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SETTINGS = PlaneSettings(hosts=("127.0.0.1",), tcp_port=0)


class ChildHouse(House):
    """Knows the port from what the child told."""

    @property
    def udp(self) -> tuple[str, int]:
        (ready,) = [one for one in self.told if isinstance(one, PlaneReady)][-1:]
        words = ready.candidates[0].split()
        return words[4], int(words[5])

    def admit(self) -> None:
        self.plane.command(api.OpenCall(CALL, 1))
        self.plane.command(api.AddPeer(CALL, DEVICE, "user"))


@pytest.fixture
async def opened() -> AsyncIterator[ChildHouse]:
    plane = ChildPlane(Configure(SETTINGS, log_level="warning"))
    plane.start()
    made = ChildHouse(plane)
    try:
        await made.ready()
        made.admit()
        yield made
    finally:
        await made.close()


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    made = Peer()
    yield made
    made.close()


async def test_packets_come_back_through_a_child(opened: ChildHouse, peer: Peer) -> None:
    await peer.connects(opened)
    sent = peer.says(1)

    assert await peer.hears() == sent
    assert await opened.hears(ConnectionUp)
    assert await opened.hears(api.PeerConnected) == api.PeerConnected(CALL, DEVICE)


async def test_a_killed_child_is_noticed_and_replaced_within_seconds(
    opened: ChildHouse, peer: Peer
) -> None:
    await peer.connects(opened)
    first = opened.plane.pid
    loop = asyncio.get_running_loop()
    began = loop.time()

    os.kill(first, signal.SIGKILL)
    await until(lambda: opened.plane._writer is None or opened.plane.pid != first)
    noticed = loop.time() - began
    await until(lambda: len(opened.heard(api.PlaneStarted)) == 2)
    opened.admit()
    await until(lambda: len(opened.heard(PlaneReady)) == 2)
    await peer.connects(opened)

    assert noticed < 1.0
    assert opened.plane.pid != first
    first_ready, second_ready = opened.heard(PlaneReady)
    assert (second_ready.port, second_ready.tcp_port) == (first_ready.port, first_ready.tcp_port)
    assert opened.plane.starts == 2


async def test_a_child_ends_with_its_hub(opened: ChildHouse) -> None:
    pid = opened.plane.pid

    await opened.plane.close()

    assert opened.plane._process.returncode == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_child_has_nothing_to_tell_to_a_hub_that_is_gone() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        reader, writer = await asyncio.open_connection(sock=theirs)
        child = Process(reader, writer)
        writer.close()

        child._send(Beat())

    assert child._over.is_set()


HUB = """
import asyncio
import errno
from media.planes.child import ChildPlane
from media.planes.frames import Configure
from media.planes.settings import PlaneSettings

async def main():
    plane = ChildPlane(Configure(PlaneSettings(hosts=("127.0.0.1",)), log_level="error"))
    plane.start()
    await plane.reports()
    print(plane.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_a_killed_hub_takes_its_child_along() -> None:
    hub = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HUB, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    child = int(await asyncio.wait_for(hub.stdout.readline(), 20))

    hub.kill()
    await hub.wait()

    await until(lambda: not is_alive(child), 5)


def is_alive(pid: int) -> bool:
    """Not a zombie either: whoever adopts it may be slow to ask."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_commands_while_there_is_no_child_are_dropped() -> None:
    plane = ChildPlane(Configure(SETTINGS))

    plane.command(api.OpenCall(CALL, 1))

    await plane.close()
    assert plane.starts == 0


async def test_a_port_that_is_taken_is_told_and_tried_again() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        settings = PlaneSettings(hosts=("127.0.0.1",), port=taken.getsockname()[1])
        plane = ChildPlane(Configure(settings, log_level="error"))
        plane.start()
        try:
            await until(lambda: plane.refused, 15)
            taken.close()
            async with asyncio.timeout(15):
                reports = await plane.reports()
        finally:
            await plane.close()

    assert reports[0] == api.PlaneStarted()
    assert plane.refused is None


@pytest.mark.parametrize(
    "bytes_in",
    [b"", b"\0\0", (FRAME_BYTES + 1).to_bytes(4, "big"), b"\0\0\0\1\xc1", b"\0\0\0\2{}"],
)
async def test_what_is_no_frame_ends_the_reading(bytes_in: bytes) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(bytes_in)
    reader.feed_eof()

    with pytest.raises(Torn):
        await read_command(reader)


async def test_a_command_survives_the_wire() -> None:
    reader = asyncio.StreamReader()
    command = api.AddPeer(CALL, DEVICE, "user")
    reader.feed_data(encode(command) * 2)

    assert [await read_command(reader), await read_command(reader)] == [command, command]


async def test_ports_that_others_have_are_refused_or_replaced_as_asked() -> None:
    taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listening = socket.create_server(("127.0.0.1", 0))
    taken.bind(("127.0.0.1", 0))
    wish = PlaneSettings(port=taken.getsockname()[1], tcp_port=listening.getsockname()[1])
    strict, lenient = (
        ChildPlane(Configure(wish)),
        ChildPlane(Configure(msgspec.structs.replace(wish, or_any=True))),
    )
    try:
        strict.start()
        await until(lambda: strict.refused is not None)
        lenient.start()
        told = list(await lenient.reports())
        await until(lambda: lenient.running)
        told += await lenient.reports() if len(told) < 2 else []
        ready = next(one for one in told if isinstance(one, PlaneReady))
    finally:
        await strict.close()
        await lenient.close()
        taken.close()
        listening.close()

    assert strict.refused == os.strerror(errno.EADDRINUSE)
    assert ready.port not in (0, wish.port)
    assert ready.tcp_port not in (0, wish.tcp_port)
