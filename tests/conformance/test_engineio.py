"""The Engine.IO 4 protocol as its documentation describes it, against a running server."""

import asyncio
import json

import engineio
import pytest

from tests.support.engine_house import RawSocket, client_frame, engine_house, upgrade_request

POLL = {"EIO": "4", "transport": "polling"}


@pytest.fixture
async def house():
    async with engine_house() as running:
        yield running


# ---- handshake -----------------------------------------------------------------------------------


async def test_polling_opens_a_session(house):
    status, text = await house.get(**POLL)

    opened = json.loads(text[1:])
    assert (status, text[0]) == (200, "0")
    assert opened.pop("sid")
    assert opened == {
        "upgrades": ["websocket"],
        "pingInterval": 25_000,
        "pingTimeout": 20_000,
        "maxPayload": 1_000_000,
    }


async def test_a_websocket_opens_a_session(house):
    raw = await house.websocket()

    first, payload = await raw.frame()

    assert first == 0x81
    assert json.loads(payload[1:])["upgrades"] == []
    raw.close()


@pytest.mark.parametrize(
    "query",
    [
        {"transport": "polling"}, {"EIO": "abc", "transport": "polling"}, {"EIO": "4"},
        {"EIO": "4", "transport": "abc"}, {"EIO": "4", "transport": "websocket"},
        {"EIO": "3", "transport": "polling"}, {**POLL, "sid": "nobody"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_wrong_query_is_refused_with_a_code(house, query, method):
    status, text = await house.call(method, **query)

    assert status == 400
    assert set(json.loads(text)) == {"code", "message"}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_only_get_opens_a_session(house, method):
    status, _ = await house.call(method, **POLL)

    assert status == 400
    assert not house.engine.sockets


async def test_unknown_parameters_are_ignored(house):
    status, _ = await house.get(**POLL, t="abc", b64="1")

    assert status == 200


@pytest.mark.parametrize(
    "query", ["transport=websocket", "EIO=abc&transport=websocket", "EIO=4", "EIO=4&transport=abc",
              "EIO=4&transport=websocket&sid=nobody"],
)  # fmt: skip
async def test_a_websocket_with_a_wrong_query_is_refused(house, query):
    raw = await house.websocket(query)

    assert json.loads(await raw.rest())["code"] in (0, 1, 5)
    assert not house.engine.sockets
    raw.close()


# ---- messages ------------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", ["4hello", "4a\x1e4b\x1e4c", "4hello\x1ebAQIDBA==", "4ü"])
async def test_a_polling_payload_comes_back(house, payload):
    query = await house.polls()

    answer = await house.post(payload.encode(), **query)

    assert answer == (200, "ok")
    assert await house.get(**query) == (200, payload)


@pytest.mark.parametrize("payload", ["abc", "", "4a\x1e", "b%%%", b"4\xff", "7x"])
async def test_an_invalid_payload_closes_the_session(house, payload):
    query = await house.polls()

    status, _ = await house.post(payload or b"\x1e", **query)

    assert status == 400
    assert (await house.get(**query))[0] == 400


async def test_a_polling_answer_holds_at_most_16_packets(house):
    query = await house.polls()
    await house.post("\x1e".join(f"4{n}" for n in range(40)), **query)

    sizes = [len((await house.get(**query))[1].split("\x1e")) for _ in range(3)]

    assert sizes == [16, 16, 8]


async def test_a_second_poll_closes_the_session(house):
    query = await house.polls()

    first = asyncio.create_task(house.get(**query))
    await asyncio.sleep(0.02)
    second = await house.get(**query)

    assert await first == (200, "1")
    assert second[0] == 400
    assert not house.engine.sockets


async def test_websocket_messages_come_back(house):
    raw = await house.websocket()
    await raw.frame()

    raw.write(client_frame("4hello") + client_frame(b"\x01\x02\x03", 2))

    assert await raw.frame() == (0x81, b"4hello")
    assert await raw.frame() == (0x82, b"\x01\x02\x03")
    raw.close()


async def test_an_invalid_packet_closes_the_websocket(house):
    raw = await house.websocket()
    await raw.frame()

    raw.write(client_frame("abc"))

    assert (await raw.frame())[0] == 0x88
    assert not house.engine.sockets
    raw.close()


# ---- heartbeat and close -------------------------------------------------------------------------


@pytest.mark.slow
async def test_polling_lives_while_it_answers_pings():
    async with engine_house(ping_interval_s=0.1) as house:
        query = await house.polls()

        for _ in range(3):
            assert await house.get(**query) == (200, "2")
            assert await house.post("3", **query) == (200, "ok")


@pytest.mark.slow
async def test_a_client_that_answers_no_ping_is_closed():
    async with engine_house(ping_interval_s=0.1, ping_timeout_s=0.2) as house:
        query = await house.polls()
        raw = await house.websocket()
        await raw.frame()

        assert await raw.frame() == (0x81, b"2")
        assert (await raw.frame())[0] == 0x88

        assert (await house.get(**query))[0] == 400
        assert not house.engine.sockets
        raw.close()


async def test_a_polling_client_may_close(house):
    query = await house.polls()
    poll = asyncio.create_task(house.get(**query))
    await asyncio.sleep(0.02)

    await house.post("1", **query)

    assert await poll == (200, "6")
    assert (await house.get(**query))[0] == 400


async def test_a_websocket_client_may_close(house):
    raw = await house.websocket()
    await raw.frame()

    raw.write(client_frame("1"))

    assert (await raw.frame())[0] == 0x88
    raw.close()


# ---- upgrade -------------------------------------------------------------------------------------


async def test_messages_queued_while_upgrading_are_not_lost(house):
    query = await house.polls()
    raw = await house.websocket(f"EIO=4&transport=websocket&sid={query['sid']}")
    raw.write(client_frame("2probe"))
    assert await raw.frame() == (0x81, b"3probe")
    await house.post("4one\x1e4two", **query)

    raw.write(client_frame("5") + client_frame("4three"))

    assert [(await raw.frame())[1] for _ in range(3)] == [b"4one", b"4two", b"4three"]
    assert (await house.get(**query))[0] == 400
    raw.close()


async def test_a_websocket_on_the_connection_that_carried_the_polls_is_taken_over(house):
    raw = await RawSocket.connected(house.port)
    raw.write(b"GET /engine.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n")
    await raw.head()
    sid = json.loads((await raw.reader.readuntil(b"}"))[1:])["sid"]

    raw.write(upgrade_request(f"/engine.io/?EIO=4&transport=websocket&sid={sid}"))
    assert " 101 " in await raw.head()
    raw.write(client_frame("2probe") + client_frame("5") + client_frame("4hello"))

    assert await raw.frame() == (0x81, b"3probe")
    assert await raw.frame() == (0x81, b"4hello")
    raw.close()


@pytest.mark.slow
async def test_the_python_client_polls_first_and_upgrades(house):
    client, heard = engineio.AsyncClient(), asyncio.Queue()
    client.on("message", heard.put)

    await client.connect(
        f"http://127.0.0.1:{house.port}",
        engineio_path="engine.io",
        transports=["polling", "websocket"],
    )
    await client.send("hello")
    await client.send(b"\x01")

    assert client.transport() == "websocket"
    assert [await heard.get(), await heard.get()] == ["hello", b"\x01"]
    await client.disconnect()


async def test_a_probe_lets_the_waiting_poll_go(house):
    query = await house.polls()
    poll = asyncio.create_task(house.get(**query))
    await asyncio.sleep(0.02)
    raw = await house.websocket(f"EIO=4&transport=websocket&sid={query['sid']}")

    raw.write(client_frame("2probe"))

    assert await poll == (200, "6")
    raw.close()


async def test_a_duplicate_websocket_is_closed_and_the_session_goes_on(house):
    query = await house.polls()
    upgrade = f"EIO=4&transport=websocket&sid={query['sid']}"
    raw = await house.websocket(upgrade)
    raw.write(client_frame("2probe") + client_frame("5"))
    await raw.frame()

    duplicate = await house.websocket(upgrade)

    assert (await duplicate.frame())[0] == 0x88
    raw.write(client_frame("4still here"))
    assert await raw.frame() == (0x81, b"4still here")
    raw.close()
    duplicate.close()


async def test_a_probe_that_breaks_the_rules_leaves_the_polling_session_alone(house):
    query = await house.polls()
    raw = await house.websocket(f"EIO=4&transport=websocket&sid={query['sid']}")

    raw.write(client_frame("5"))

    assert (await raw.frame())[0] == 0x88
    assert await house.post("4x", **query) == (200, "ok")
    assert await house.get(**query) == (200, "4x")
    raw.close()
