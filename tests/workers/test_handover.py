"""A request that comes to a worker which does not have its session. In one process: each worker has
a port of its own here, so that a test chooses where a request lands.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import uvloop

from server.hub.engineio.engine import Engine
from server.hub.transport import handover as handover_module
from server.hub.transport.acceptor import Acceptor
from server.hub.transport.handover import Handover, sweep
from tests.support.engine_house import (
    EngineHouse,
    RawSocket,
    client_frame,
    engine_house,
    upgrade_request,
)
from tests.support.protocol_modes import PROTOCOL_OPTIONS, EchoHandlers
from tests.support.servers.base import server_folder
from tests.support.waiting import until

POLL = "/engine.io/?EIO=4&transport=polling"


class Noting(EchoHandlers):
    def __init__(self) -> None:
        self.peers: list[str] = []

    def on_open(self, socket, request) -> None:
        self.peers.append(request.peer)


@pytest.fixture(params=[uvloop.EventLoopPolicy, asyncio.DefaultEventLoopPolicy])
def event_loop_policy(request):
    return request.param()


@pytest.fixture
def folder():
    with server_folder("workers") as made:
        yield made


@pytest.fixture
async def workers(folder: Path):
    """Two of them: a session is opened at the first, its requests go to the second."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(engine_house(handover=Handover(folder)))
            for _ in range(2)
        ]


def request(sid: str, *, method: str = "GET", body: str = "", transport: str = "polling") -> bytes:
    length = f"Content-Length: {len(body)}\r\n" if method == "POST" else ""
    return (
        f"{method} /engine.io/?EIO=4&transport={transport}&sid={sid} HTTP/1.1\r\n"
        f"Host: localhost\r\n{length}\r\n{body}"
    ).encode()


async def answer(raw: RawSocket) -> tuple[int, str]:
    head = await raw.head()
    length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
    return int(head.split(" ")[1]), (await raw.reader.readexactly(length)).decode()


async def opened(house: EngineHouse) -> str:
    return (await house.polls())["sid"]


async def test_a_sid_names_its_worker_and_stays_unguessable(workers):
    sids = [await opened(workers[0]) for _ in range(3)]

    assert len({sid[20:] for sid in sids}) == 1
    assert len({sid[:20] for sid in sids}) == 3
    assert (await opened(workers[1]))[20:] != sids[0][20:]


async def test_a_post_and_a_poll_on_fresh_connections_reach_the_session(workers):
    sid = await opened(workers[0])
    posting, polling = [await RawSocket.connected(workers[1].port) for _ in range(2)]

    posting.write(request(sid, method="POST", body="4hello"))
    posted = await answer(posting)
    polling.write(request(sid))

    assert posted == (200, "ok")
    assert await answer(polling) == (200, "4hello")
    posting.close()
    polling.close()


async def test_a_connection_that_was_passed_on_stays_with_its_worker(workers):
    sid = await opened(workers[0])
    raw = await RawSocket.connected(workers[1].port)

    for word in ("4one", "4two"):
        raw.write(request(sid, method="POST", body=word))
        await answer(raw)
        raw.write(request(sid))
        assert await answer(raw) == (200, word)

    assert len(os.listdir("/proc/self/fd")) < 100
    raw.close()


async def test_a_kept_connection_goes_to_the_worker_of_each_request(workers):
    sids = [await opened(house) for house in workers]
    raw = await RawSocket.connected(workers[0].port)

    for turn in range(6):
        raw.write(request(sids[turn % 2], method="POST", body=f"4{turn}"))
        assert await answer(raw) == (200, "ok")
        raw.write(request(sids[turn % 2]))
        assert await answer(raw) == (200, f"4{turn}")

    raw.close()


async def test_a_body_that_comes_in_pieces_is_read_exactly(workers):
    sid = await opened(workers[0])
    body = "4" + "x" * 900_000
    raw = await RawSocket.connected(workers[1].port)

    raw.write(request(sid, method="POST", body=body)[:100_000])
    await asyncio.sleep(0.02)
    raw.write(request(sid, method="POST", body=body)[100_000:])

    assert await answer(raw) == (200, "ok")
    assert await workers[0].get(EIO="4", transport="polling", sid=sid) == (200, body)
    raw.close()


async def test_a_long_body_on_a_kept_connection_is_passed_on_whole(workers):
    sid = await opened(workers[0])
    body = "4" + "y" * 900_000
    await workers[1].polls()  # the client's pool now has a connection there

    posted = await workers[1].post(body, EIO="4", transport="polling", sid=sid)

    assert posted == (200, "ok")
    assert await workers[1].get(EIO="4", transport="polling", sid=sid) == (200, body)


async def test_a_body_over_the_limit_is_refused_where_it_lands(workers):
    sid = await opened(workers[0])
    await workers[1].polls()

    status, _ = await workers[1].post("4" + "z" * 1_000_001, EIO="4", transport="polling", sid=sid)

    assert status == 413


@pytest.mark.parametrize("kept", [False, True])
async def test_an_upgrade_probe_reaches_the_session(workers, kept):
    sid = await opened(workers[0])
    raw = await RawSocket.connected(workers[1].port)
    if kept:
        raw.write(f"GET {POLL} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await answer(raw)

    raw.write(
        f"GET /engine.io/?EIO=4&transport=websocket&sid={sid} HTTP/1.1\r\nHost: localhost\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    head = await raw.head()
    raw.write(client_frame("2probe"))
    probed = await raw.frame()
    raw.write(client_frame("5") + client_frame("4over"))

    assert " 101 " in head
    assert probed[1] == b"3probe"
    assert (await raw.frame())[1] == b"4over"
    raw.close()


async def test_the_clients_own_address_survives(folder: Path):
    noting = Noting()
    async with (
        engine_house(handlers=noting, handover=Handover(folder)) as first,
        engine_house(handover=Handover(folder)) as second,
    ):
        sid = await opened(first)
        raw = await RawSocket.connected(second.port)
        raw.write(request(sid, method="POST", body="4a"))
        await answer(raw)

        raw.write(f"GET {POLL} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await answer(raw)

        assert noting.peers == ["127.0.0.1", "127.0.0.1"]
        raw.close()


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("tag", ["AAAAAAAA", "../../../x", "short", "%2e%2e%2f"])
async def test_a_sid_of_no_living_worker_is_unknown(workers, tag, kept):
    raw = await RawSocket.connected(workers[1].port)
    if kept:
        raw.write(f"GET {POLL} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await answer(raw)

    raw.write(request("a" * 20 + tag))
    status, text = await answer(raw)

    assert (status, json.loads(text)["code"]) == (400, 1)
    raw.close()


async def test_a_sid_without_a_tag_is_unknown_at_once(workers):
    status, text = await workers[1].get(EIO="4", transport="polling", sid="a" * 20)

    assert (status, json.loads(text)["code"]) == (400, 1)


async def test_a_sid_named_twice_is_read_alike_by_every_worker(workers):
    sid = await opened(workers[0])
    raw = await RawSocket.connected(workers[1].port)

    raw.write(request(f"{'b' * 20}AAAAAAAA&sid={sid}", method="POST", body="4last"))

    assert await answer(raw) == (200, "ok")
    raw.close()


@pytest.mark.slow
async def test_a_worker_that_hangs_costs_a_request_a_bounded_wait(workers, folder, monkeypatch):
    monkeypatch.setattr(handover_module, "LIMIT_S", 0.3)
    hangs = socket.socket(socket.AF_UNIX)
    hangs.bind(str(folder / "HANGSHAN.sock"))
    hangs.listen(1)
    raw = await RawSocket.connected(workers[1].port)

    raw.write(request("a" * 20 + "HANGSHAN"))
    status, text = await answer(raw)

    assert (status, json.loads(text)["code"]) == (400, 1)
    assert await raw.rest() == b""
    raw.close()
    hangs.close()


@pytest.mark.slow
async def test_who_wakes_too_late_leaves_the_connection_alone(workers, folder, monkeypatch):
    monkeypatch.setattr(handover_module, "LIMIT_S", 0.2)
    late = Handover(folder)
    adopted = []

    async def adopt(connection, seen):
        adopted.append(seen)
        connection.close()

    late.open(adopt)
    asyncio.get_running_loop().remove_reader(late._listener)
    raw = await RawSocket.connected(workers[1].port)
    raw.write(request("a" * 20 + late.tag))
    status, _ = await answer(raw)

    late._watch()
    await asyncio.sleep(0.1)

    assert (status, adopted) == (400, [])
    raw.close()
    await late.close()


@pytest.mark.parametrize("sent", [b"", b"\x00", b"\xff\xff\xff\xff", b"\x00\x00\x00\x05hello"])
async def test_what_comes_without_a_connection_is_dropped(workers, folder, sent):
    door = next(path for path in folder.glob("*.sock"))
    _, writer = await asyncio.open_unix_connection(str(door))

    writer.write(sent)
    writer.close()

    sid = await opened(workers[0])
    assert await workers[1].post("4x", EIO="4", transport="polling", sid=sid) == (200, "ok")


async def test_the_door_is_gone_when_the_worker_is(folder: Path):
    async with engine_house(handover=Handover(folder)):
        doors = os.listdir(folder)

    assert [Path(name).suffix for name in doors] == [".sock"]
    assert os.listdir(folder) == []


async def test_sweeping_removes_what_dead_workers_left_and_nothing_else(workers, folder):
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(folder / "DEADDEAD.sock"))
    dead.close()

    sweep(folder)

    assert len(list(folder.iterdir())) == 2
    assert await workers[0].get(EIO="4", transport="polling")


async def test_connections_that_wait_to_be_accepted_are_served_when_listening_ends(folder: Path):
    acceptor = Acceptor(Engine(EchoHandlers(), PROTOCOL_OPTIONS), None, handover=Handover(folder))
    port = await acceptor.listen("127.0.0.1", 0)
    raws = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
    for raw in raws:
        raw.sendall(upgrade_request("/engine.io/?EIO=4&transport=websocket"))
        raw.setblocking(False)

    acceptor.stop_listening()

    loop = asyncio.get_running_loop()
    heads = [await asyncio.wait_for(loop.sock_recv(raw, 4096), 5) for raw in raws]
    assert all(b" 101 " in head for head in heads)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    for raw in raws:
        raw.close()
    await acceptor.close()
    await acceptor.handover.close()


async def test_a_worker_that_ends_gives_newcomers_away_and_keeps_its_own(workers, folder):
    sid = await opened(workers[0])
    kept = await RawSocket.connected(workers[0].port)
    kept.write(request(sid, method="POST", body="4own"))
    await answer(kept)
    fresh = await RawSocket.connected(workers[0].port)
    await asyncio.sleep(0.02)

    workers[0].acceptor.stop_listening()
    for raw in (kept, fresh):
        raw.write(f"GET {POLL} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    news = [json.loads((await answer(raw))[1][1:])["sid"] for raw in (kept, fresh)]

    assert {new[20:] for new in news} == {workers[1].engine.tag}
    assert await workers[1].get(EIO="4", transport="polling", sid=sid) == (200, "4own")
    kept.close()
    fresh.close()


async def test_a_newcomer_at_the_last_worker_is_told_that_it_ends(workers):
    fresh = [await RawSocket.connected(house.port) for house in workers]
    await asyncio.sleep(0.02)
    for house in workers:
        house.acceptor.stop_listening()
        house.engine.draining = True

    for raw in fresh:
        raw.write(f"GET {POLL} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    assert [(await answer(raw))[0] for raw in fresh] == [503, 503]
    for raw in fresh:
        raw.close()


async def test_connections_and_descriptors_are_given_back(workers):
    sid = await opened(workers[0])
    before = len(os.listdir("/proc/self/fd"))

    for _ in range(50):
        raw = await RawSocket.connected(workers[1].port)
        raw.write(request(sid, method="POST", body="4x"))
        await answer(raw)
        raw.close()

    await until(lambda: len(os.listdir("/proc/self/fd")) <= before)
