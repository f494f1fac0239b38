"""The Socket.IO 5 protocol case by case, as its official suite has them: mode `socketio`."""

import asyncio
import json

import aiohttp
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from server.hub.engineio.api import Options
from tests.support.protocol_modes_socketio import socketio_mode

WAIT_S = 5.0


@pytest.fixture
async def port():
    bound, stop = await socketio_mode("127.0.0.1", 0, Options())
    yield bound
    await stop()


def opening(port):
    return connect(f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket")


@pytest.fixture
async def raw(port):
    """A WebSocket with Engine.IO opened and no namespace yet."""
    async with opening(port) as websocket:
        assert (await heard(websocket))[0] == "0"
        yield websocket


@pytest.fixture
async def socket(raw):
    """Connected to `/`, its "auth" heard."""
    await raw.send("40")
    assert (await heard(raw)).startswith('40{"sid":"')
    assert await heard(raw) == '42["auth",{}]'
    return raw


async def heard(websocket):
    """The next message that is no ping; pings are answered."""
    while True:
        async with asyncio.timeout(WAIT_S):
            message = await websocket.recv()
        if message != "2":
            return message
        await websocket.send("3")


async def closed(websocket):
    """The server closes; what it still said is skipped."""
    try:
        while True:
            await heard(websocket)
    except ConnectionClosed:
        return True


# ---- connect -------------------------------------------------------------------------------------


async def test_the_main_namespace_is_connected(raw):
    await raw.send("40")

    assert (await heard(raw)).startswith('40{"sid":"')
    assert await heard(raw) == '42["auth",{}]'


async def test_the_main_namespace_gets_the_payload(raw):
    await raw.send('40{"token":"123"}')

    assert (await heard(raw)).startswith('40{"sid":"')
    assert await heard(raw) == '42["auth",{"token":"123"}]'


async def test_a_custom_namespace_is_connected(raw):
    await raw.send("40/custom,")

    assert (await heard(raw)).startswith('40/custom,{"sid":"')
    assert await heard(raw) == '42/custom,["auth",{}]'


async def test_a_custom_namespace_gets_the_payload(raw):
    await raw.send('40/custom,{"token":"abc"}')

    assert (await heard(raw)).startswith('40/custom,{"sid":"')
    assert await heard(raw) == '42/custom,["auth",{"token":"abc"}]'


async def test_an_unknown_namespace_is_refused(raw):
    await raw.send("40/random")

    assert await heard(raw) == '44/random,{"message":"Invalid namespace"}'


@pytest.mark.parametrize("packet", ["4abc", "40{", '42["x', "4", "49"])
async def test_an_invalid_handshake_closes_the_connection(raw, packet):
    await raw.send(packet)

    assert await closed(raw)


async def test_silence_after_the_handshake_closes_the_connection():
    port, stop = await socketio_mode("127.0.0.1", 0, Options(unauthenticated_s=0.1))

    async with opening(port) as websocket:
        assert await closed(websocket)

    await stop()


async def test_an_event_before_connect_closes_the_connection(raw):
    await raw.send('42["message"]')

    assert await closed(raw)


# ---- disconnect ----------------------------------------------------------------------------------


async def test_one_namespace_can_be_left_while_the_other_goes_on(socket):
    await socket.send("40/custom")
    assert (await heard(socket)).startswith('40/custom,{"sid":"')
    assert await heard(socket) == '42/custom,["auth",{}]'

    await socket.send("41")
    await socket.send('42["message","message to main namespace"]')
    await socket.send('42/custom,["message","message to custom"]')

    assert await heard(socket) == '42/custom,["message-back","message to custom"]'


async def test_a_namespace_left_can_be_joined_again(socket):
    await socket.send("41")
    await socket.send("40")

    assert (await heard(socket)).startswith('40{"sid":"')


# ---- message -------------------------------------------------------------------------------------


async def test_plain_arguments_come_back(socket):
    await socket.send('42["message",1,"2",{"3":[true]}]')

    assert await heard(socket) == '42["message-back",1,"2",{"3":[true]}]'


async def test_binary_arguments_come_back(socket):
    announced = '["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
    await socket.send(f"452-{announced}")
    await socket.send(b"\1\2\3")
    await socket.send(b"\4\5\6")

    assert await heard(socket) == "452-" + announced.replace("message", "message-back")
    assert await heard(socket) == b"\1\2\3"
    assert await heard(socket) == b"\4\5\6"


async def test_a_plain_event_is_acknowledged(socket):
    await socket.send('42456["message-with-ack",1,"2",{"3":[false]}]')

    assert await heard(socket) == '43456[1,"2",{"3":[false]}]'


async def test_a_binary_event_is_acknowledged(socket):
    await socket.send(
        '452-789["message-with-ack",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
    )
    await socket.send(b"\1\2\3")
    await socket.send(b"\4\5\6")

    assert (
        await heard(socket)
        == '462-789[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
    )
    assert await heard(socket) == b"\1\2\3"
    assert await heard(socket) == b"\4\5\6"


INVALID = [
    "4abc", "42{}", "42[]", "42", "42[1]", '42"x"', "44{}", "47", '42["a",NaN]', '42["a",1e999]',
    '42["a",{"_placeholder":true,"num":99}]', '42["a",{"x":1,"x":2}]', '42["a","\\ud800"]',
    '42["a",' + "[" * 600 + "]" * 600 + "]", "49999999999-[]", '459999999999-["a"]', '459-["a"]',
    "45", "451", '42/unknown,["message"]',
]  # fmt: skip


@pytest.mark.parametrize("packet", INVALID)
async def test_an_invalid_packet_closes_the_connection(socket, packet):
    await socket.send(packet)

    assert await closed(socket)


@pytest.mark.parametrize(
    "sent",
    [
        ['452-["message",{"_placeholder":true,"num":0}]', '42["message"]'],
        ['451-["message",{"_placeholder":true,"num":7}]', b"\1"],
        ['451-["message",{"_placeholder":true,"num":"x"}]', b"\1"],
        [b"\1"],
        ['451-["message",{"_placeholder":true,"num":0}]', bytes(600_000), b"\1"],
        ['452-["message",{"_placeholder":true,"num":0}]', bytes(600_000), bytes(600_000)],
    ],
)
async def test_malformed_attachments_close_the_connection(socket, sent):
    for part in sent:
        await socket.send(part)

    assert await closed(socket)


# ---- long-polling --------------------------------------------------------------------------------


async def test_polling_connects_and_talks(port):
    query = {"EIO": "4", "transport": "polling"}
    url = f"http://127.0.0.1:{port}/socket.io/"
    async with aiohttp.ClientSession() as http:
        async with http.get(url, params=query) as answer:
            query["sid"] = (await answer.json(content_type=None, loads=_after_digit))["sid"]
        async with http.post(url, params=query, data='40{"token":"t"}') as answer:
            assert await answer.text() == "ok"
        packets = await polled(http, url, query, 2)
        async with http.post(url, params=query, data='42["message","hi"]') as answer:
            assert await answer.text() == "ok"
        packets += await polled(http, url, query, 1)

    assert packets[0].startswith('40{"sid":"')
    assert packets[1:] == ['42["auth",{"token":"t"}]', '42["message-back","hi"]']


async def polled(http, url, query, count):
    """At least `count` packets that are no pings."""
    packets = []
    while len(packets) < count:
        async with http.get(url, params=query) as answer:
            packets += [one for one in (await answer.text()).split("\x1e") if one != "2"]
    return packets


def _after_digit(text):
    return json.loads(text[1:])
