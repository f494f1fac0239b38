"""WebSocket over a raw socket, in the groups of the Autobahn suite (1-7 and 10)."""

import pytest

from tests.support.engine_house import RawSocket, client_frame, echo_house, upgrade_request

BAD_CODES = (0, 999, 1004, 1005, 1006, 1012, 1013, 1014, 1015, 1016, 1100, 2000, 2999, 5000, 65535)


@pytest.fixture
async def port():
    async with echo_house() as bound:
        yield bound


@pytest.fixture
async def raw(port):
    socket = await RawSocket.upgraded(port)
    yield socket
    socket.close()


def close_payload(code: int, reason: bytes = b"") -> bytes:
    return code.to_bytes(2, "big") + reason


@pytest.mark.parametrize("size", [0, 125, 126, 127, 128, 65_535, 65_536, 1_000_000])
@pytest.mark.parametrize("opcode", [1, 2])
async def test_group_1_and_9_messages_of_all_sizes_come_back(raw, size, opcode):
    raw.write(client_frame(b"*" * size, opcode))

    assert await raw.frame() == (0x80 | opcode, b"*" * size)


async def test_group_1_a_frame_in_single_bytes_comes_back(raw):
    for byte in client_frame("*" * 300):
        raw.write(bytes([byte]))

    assert await raw.frame() == (0x81, b"*" * 300)


@pytest.mark.parametrize("payload", [b"", b"hello", b"\x00\xff\xfe", b"\xfe" * 125])
async def test_group_2_a_ping_is_answered_with_its_payload(raw, payload):
    raw.write(client_frame(payload, 9))

    assert await raw.frame() == (0x8A, payload)


async def test_group_2_an_unsolicited_pong_is_ignored_and_pings_are_answered_in_order(raw):
    raw.write(client_frame("x", 10))
    raw.write(b"".join(client_frame(str(n), 9) for n in range(10)))

    assert [await raw.frame() for _ in range(10)] == [(0x8A, str(n).encode()) for n in range(10)]


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        *[(client_frame("x", rsv=bits), 1002) for bits in (1, 2, 3, 4, 5, 6, 7)],  # group 3
        *[(client_frame("x", opcode), 1002) for opcode in (3, 7, 11, 15)],  # group 4
        (client_frame("x", 9, fin=False), 1002),  # group 5
        (client_frame("x", 0), 1002),
        (client_frame("a", fin=False) + client_frame("b"), 1002),
        (client_frame(b"*" * 126, 9), 1002),  # 2.5
        (client_frame(b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80"), 1007),  # group 6
        (client_frame(b"x", 8), 1002),  # 7.3.2
        (client_frame(close_payload(1000, b"\xce\xba\xed"), 8), 1007),  # 7.5.1
        *[
            (client_frame(close_payload(code), 8), 1002)  # 7.9
            for code in BAD_CODES
        ],
        (client_frame(b"*" * 1_000_001), 1009),
    ],
)
async def test_groups_3_to_7_violations_end_the_connection_with_their_code(raw, frames, code):
    raw.write(client_frame("before") + frames)

    assert await raw.frame() == (0x81, b"before")
    first, payload = await raw.frame()
    assert (first, int.from_bytes(payload[:2], "big")) == (0x88, code)
    assert await raw.rest() == b""


async def test_group_5_fragments_with_control_frames_between_come_back_whole(raw):
    raw.write(client_frame("frag", fin=False) + client_frame("p", 9))
    raw.write(client_frame("", 0, fin=False) + client_frame("ment", 0))

    assert await raw.frame() == (0x8A, b"p")
    assert await raw.frame() == (0x81, b"fragment")


@pytest.mark.parametrize("text", ["κόσμε", "Hello-µ@ßöäüàá-UTF-8!!", "\U0010ffff", "\uffff", "😀"])
async def test_group_6_valid_utf8_comes_back_in_one_and_in_many_fragments(raw, text):
    data = text.encode()
    raw.write(client_frame(data))
    raw.write(client_frame(b"", fin=False))
    for byte in data:
        raw.write(client_frame(bytes([byte]), 0, fin=False))
    raw.write(client_frame(b"", 0))

    assert await raw.frame() == (0x81, data)
    assert await raw.frame() == (0x81, data)


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]
)
async def test_group_7_a_close_is_echoed_and_the_connection_ends(raw, code):
    raw.write(client_frame(close_payload(code, b"r" * 123), 8) + client_frame("late"))

    first, payload = await raw.frame()

    assert (first, payload) == (0x88, close_payload(code))
    assert await raw.rest() == b""


async def test_group_7_a_close_without_a_code_is_echoed_without_one(raw):
    raw.write(client_frame(b"", 8))

    assert await raw.frame() == (0x88, b"")
    assert await raw.rest() == b""


async def test_group_10_a_message_in_many_segments_comes_back(raw):
    frame = client_frame("*" * 65_536)
    for at in range(0, len(frame), 1300):
        raw.write(frame[at : at + 1300])
        await raw.writer.drain()

    assert await raw.frame() == (0x81, b"*" * 65_536)


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"connection": "keep-alive"}, 400),
        ({"sec_websocket_version": "12"}, 426),
        ({"sec_websocket_version": None}, 426),
        ({"sec_websocket_key": None}, 400),
        ({"sec_websocket_key": "c2hvcnQ="}, 400),
        ({"sec_websocket_key": "!" * 24}, 400),
        ({"host": None}, 400),
        ({"upgrade": "WebSocket", "connection": "UPGRADE"}, 101),
    ],
)
async def test_the_handshake_is_checked(port, changed, status):
    raw = await RawSocket.connected(port)

    raw.write(upgrade_request("/", **changed))

    assert (await raw.head()).split()[1] == str(status)
    raw.close()


async def test_frames_that_follow_the_handshake_in_one_segment_are_read(port):
    raw = await RawSocket.connected(port)

    raw.write(upgrade_request("/") + client_frame("early"))

    head = await raw.head()
    assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
    assert await raw.frame() == (0x81, b"early")
    raw.close()
