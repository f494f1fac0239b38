"""Events and their acknowledgements, through a real socket."""

import asyncio
import json

import pytest

from server.kernel.clock import Virtual
from tests.support.hub_house import hub_house, small_config


@pytest.fixture
async def house():
    async with hub_house() as running:
        yield running


@pytest.fixture
async def alice(house):
    member = await house.joins("alice")
    yield member
    await member.leaves()


async def test_the_sender_gets_the_ack_first_then_the_event(alice):
    await alice.says("hello")

    assert await alice.ack() == {"ok": True, "data": {"seq": 1}}
    assert await alice.event() == ["room:event", {"body": "hello", "client_id": "mine"}]


async def test_others_get_the_event_without_the_client_id(house, alice):
    bob = await house.joins("bob")

    await alice.says("hello")

    assert await bob.event() == ["room:event", {"body": "hello"}]
    await bob.leaves()


async def test_an_event_without_an_ack_id_is_carried_out(house, alice):
    bob = await house.joins("bob")

    await alice.says("hello", ack="")

    assert await bob.event() == ["room:event", {"body": "hello"}]
    await bob.leaves()


async def test_many_events_keep_their_order(house, alice):
    bob = await house.joins("bob")

    for number in range(50):
        await alice.says(str(number), ack="")

    heard = [(await bob.event())[1]["body"] for _ in range(50)]
    assert [(await alice.event())[1]["body"] for _ in range(50)] == heard
    assert heard == [str(number) for number in range(50)]
    await bob.leaves()


@pytest.mark.parametrize(
    ("packet", "code", "field"),
    [
        ('421["nothing:here",{}]', "not_found", None),
        ('421["nothing:here"]', "not_found", None),
        ('421["connect",{}]', "not_found", None),
        ('421["disconnect"]', "not_found", None),
        ('421["connect_error",{}]', "not_found", None),
        ('421["free"]', "invalid", None),
        ('421["free",1]', "invalid", None),
        ('421["free",{},{}]', "invalid", None),
        ('421["free",[{}]]', "invalid", None),
        ('421["free",{"value":NaN}]', "invalid", None),
        ('421["free",{"value":1e999}]', "invalid", None),
        ('421["free",{"value":1,"value":2}]', "invalid", None),
        ('421["free",{"value":{"_placeholder":true,"num":99}}]', "invalid", None),
        ('421["free",{"value":{"_\\u0070laceholder":true}}]', "invalid", None),
        ('421["free",{"value":"\\u0000"}]', "invalid", None),
        ('421["free",{"value":"\\ud800"}]', "invalid", None),
        ('421["free",{"value":9007199254740992}]', "invalid", None),
        ('421["free",{"value":' + "[" * 32 + "]" * 32 + "}]", "invalid", None),
        ('421["free",{"value":' + "[" * 5000 + "]" * 5000 + "}]", "invalid", None),
        ('421["free",{"value":1', "invalid", None),
        ("421[]", "invalid", None),
        ("421{}", "invalid", None),
        ("421garbage", "invalid", None),
        ("421", "invalid", None),
        ("421[1]", "invalid", None),
        ('421["free",{"other":1}]', "invalid", "other"),
        ('421["say",{"room_id":"a"}]', "invalid", "content"),
        (
            '421["say",{"room_id":"a","content":{"type":"text","body":1}}]',
            "invalid",
            "content.body",
        ),
        (
            '421["say",{"room_id":"a","content":{"type":"text","body":""},"number":1.0}]',
            "invalid",
            "number",
        ),
        (
            '421["say",{"room_id":"a","content":{"type":"text","body":""},"number":true}]',
            "invalid",
            "number",
        ),
        ('451-1["free",{"value":{"_placeholder":true,"num":0}}]', "invalid", None),
    ],
)
async def test_a_payload_against_the_contract_is_refused_with_its_code(alice, packet, code, field):
    await alice.send(packet)

    answer = await alice.ack()
    assert answer["ok"] is False
    assert answer["error"]["code"] == code
    assert answer["error"].get("field") == field


@pytest.mark.parametrize(
    "packet",
    [
        '421[ "free" , {"value":' + "[" * 31 + "]" * 31 + "} ]",
        '421["fr\\u0065e",{"value":1}]',
        '42/,1["free",{}]',
    ],
)
async def test_an_unusual_but_valid_packet_is_carried_out(alice, packet):
    await alice.send(packet)

    assert (await alice.ack())["ok"] is True


async def test_a_packet_over_256_kib_is_too_large(alice):
    answer = await alice.emit("free", {"value": "x" * 262_144})

    assert answer["error"]["code"] == "too_large"


async def test_a_packet_of_256_kib_is_read(alice):
    overhead = len('21["free", {"value": ""}]')

    answer = await alice.emit("free", {"value": "x" * (262_144 - overhead)})

    assert answer["ok"] is True


async def test_attachments_of_a_refused_event_are_skipped(alice):
    await alice.send('452-1["free",{}]')
    await alice.send(b"one")
    await alice.send(b"two")
    await alice.ack()

    assert (await alice.emit("free", {}))["ok"] is True


@pytest.mark.parametrize(
    "packet",
    [
        "4abc", "42{}", "42x", "4", "49", "40{}", '44{"message":"x"}', "45", '459-["a"]',
        '459999999999-["a"]', '451000000000000-["a"]', '42/other,1["a"]', b"stray", "43x",
        '4212345678901234567["free",{}]',
    ],
)  # fmt: skip
async def test_what_is_no_packet_closes_the_socket(house, alice, packet):
    await alice.send(packet)

    assert await alice.rest() == ["1"]
    assert len(house.hub.audience) == 0


async def test_an_acknowledgement_nobody_asked_for_is_ignored(alice):
    await alice.send("431[]")

    assert (await alice.emit("free", {}))["ok"] is True


async def test_a_refusal_is_told_with_all_its_members(alice):
    answer = await alice.emit("refuse", {})

    assert answer == {
        "ok": False,
        "error": {"code": "conflict", "text": "It is taken.", "field": "value", "data": {"now": 1}},
    }


async def test_a_fault_is_internal_without_detail(house, alice):
    answer = await alice.emit("fail", {})

    assert answer["error"]["code"] == "internal"
    assert "secret" not in json.dumps(answer)
    assert house.hub.metrics.internal_errors == 1


async def test_a_slow_handler_holds_up_nobody(house, alice):
    await alice.send('421["wait",{}]')

    assert (await alice.emit("free", {}, ack="2"))["ok"] is True
    house.gate.set()
    assert (await alice.ack("1"))["ok"] is True


async def test_too_many_events_in_flight_are_rate_limited():
    async with hub_house(small_config(pending_per_socket=2)) as house:
        alice = await house.joins("alice")
        for number in "12":
            await alice.send(f'42{number}["wait",{{}}]')

        answer = await alice.emit("free", {}, ack="3")

        assert answer["error"]["code"] == "rate_limited"
        assert answer["error"]["retry_after_s"] > 0
        await alice.leaves()


async def test_sends_have_a_bucket_for_each_user():
    async with hub_house(small_config(send_per_s=1, send_burst=2), clock=Virtual()) as house:
        alice, again = await house.joins("alice:one"), await house.joins("alice:two")
        payload = {"room_id": "elsewhere", "content": {"type": "text", "body": ""}}
        assert (await alice.emit("say", payload))["ok"]
        assert (await again.emit("say", payload))["ok"]

        answer = await alice.emit("say", payload)

        assert answer["error"]["code"] == "rate_limited"
        assert answer["error"]["retry_after_s"] > 0
        assert (await alice.emit("free", {}))["ok"]
        await alice.leaves()
        await again.leaves()


async def test_all_events_have_a_bucket_for_each_socket():
    async with hub_house(small_config(event_per_s=1, event_burst=2), clock=Virtual()) as house:
        alice, bob = await house.joins("alice"), await house.joins("bob")
        codes = [(await alice.emit("free", {})).get("error", {}).get("code") for _ in range(3)]

        assert codes == [None, None, "rate_limited"]
        assert (await bob.emit("free", {}))["ok"]
        await alice.leaves()
        await bob.leaves()


async def test_a_handler_whose_socket_left_is_carried_out_silently(house):
    alice = await house.joins("alice")
    await alice.send('421["wait",{}]')
    await alice.send("41")
    await alice.rest()

    house.gate.set()
    for _ in range(5):
        await asyncio.sleep(0)

    assert len(house.hub.dispatcher) == 0


async def test_observers_hear_of_activity_at_most_once_a_second():
    clock = Virtual()
    async with hub_house(clock=clock) as house:
        alice = await house.joins("alice")
        for _ in range(10):
            await alice.emit("free", {})
            clock.advance(0.125)

        assert house.told == [("opened", "alice"), ("active", "alice"), ("active", "alice")]
        await alice.leaves()
