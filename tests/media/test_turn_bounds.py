"""What strangers, one user and all together can make the server do, send and remember."""

from __future__ import annotations

import random
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.turn import exchange as x
from media.turn.quotas import IDLE_USERS, Meter, Users
from media.turn.settings import REALM_BYTES, RelayHost, TurnSettings
from media.wire import attributes as a
from media.wire.addresses import Address, decode_xor
from media.wire.stun import ALLOCATE, BINDING, INDICATION, SUCCESS, build
from tests.media import vectors
from tests.support.turn_house import PEER, RELAYS, UDP, TurnHouse, code_of

EVEN_PAIR = (a.EVEN_PORT, b"\x80")


def test_a_binding_request_is_answered_with_the_own_address() -> None:
    client = TurnHouse().client("203.0.113.9", 1234)

    answer = client.unsigned(BINDING, fingerprint=True)

    assert answer.kind == SUCCESS
    value = answer.attributes[a.XOR_MAPPED_ADDRESS]
    assert decode_xor(value, answer.transaction) == ("203.0.113.9", 1234)
    assert a.FINGERPRINT in answer.attributes


def test_a_binding_request_with_what_must_be_understood_names_it() -> None:
    answer = TurnHouse().client().unsigned(BINDING, (0x7FFE, b""))

    assert code_of(answer) == 420
    assert answer.get(a.UNKNOWN_ATTRIBUTES) == b"\x7f\xfe"


@pytest.mark.parametrize("host", ["203.0.113.9", "2a00:1450:4001:81b:aaaa:bbbb:cccc:dddd"])
@pytest.mark.parametrize(
    "attributes",
    [
        [],
        [UDP],
        [UDP, *((0x7000 + n, b"") for n in range(300))],
        [(a.USERNAME, b"x"), (a.MESSAGE_INTEGRITY, bytes(20))],
        [
            (a.USERNAME, b"x"), (a.REALM, b"y"), (a.NONCE, b"z"), (a.MESSAGE_INTEGRITY, bytes(20)),
        ],
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", [BINDING, ALLOCATE, 0x004, 0x008, 0x009])
def test_an_answer_to_a_stranger_has_at_most_160_bytes(
    host: str, attributes: list[tuple[int, bytes]], method: int
) -> None:
    house = TurnHouse(realm="r" * REALM_BYTES, anonymity=True)
    client = house.client(host)

    outputs = client.raw(build(method, client.transaction(), attributes, fingerprint=True))

    assert [len(out.data) <= 160 for out in outputs if isinstance(out, x.ToClient)] == [True]


def test_a_source_address_gets_20_answers_a_second() -> None:
    house = TurnHouse()

    def flood() -> int:
        return sum(
            len(house.client(port=port + 1).raw(build(BINDING, bytes(12)))) for port in range(500)
        )

    assert flood() == 20
    house.passes(1)
    assert flood() == 20
    assert house.server.drops["stranger_rate"] == 960


@given(st.lists(st.floats(0, 0.4), min_size=100, max_size=300))
def test_no_second_has_more_than_20_answers_to_one_source(pauses: list[float]) -> None:
    house = TurnHouse()
    now = 0.0
    answered = []

    for pause in pauses:
        house.passes(pause)
        now += pause
        for port in range(1, 6):
            answered += [now] * len(house.client(port=port).raw(build(BINDING, bytes(12))))

    for first, later in zip(answered, answered[20:], strict=False):
        assert later - first > 0.999_999  # the house adds the pauses up in another order


def test_the_first_answer_on_a_connection_comes_at_whatever_rate() -> None:
    house = TurnHouse()
    clients = [house.client(port=port + 1) for port in range(30)]
    for client in clients:
        house.give(x.FlowOpened(client.flow))

    first = [len(client.raw(build(BINDING, bytes(12)))) for client in clients]
    second = [len(client.raw(build(BINDING, bytes(12)))) for client in clients]

    assert (sum(first), sum(second)) == (30, 0)


def test_a_connection_with_an_allocation_always_hears_of_a_new_nonce() -> None:
    house = TurnHouse(nonce_s=5)
    client = house.client()
    house.give(x.FlowOpened(client.flow))
    client.allocate()
    house.passes(6)
    for port in range(30):
        house.client(port=port + 1).raw(build(BINDING, bytes(12)))

    assert code_of(client.refresh()) == 438


def test_a_closed_connection_is_forgotten() -> None:
    house = TurnHouse()
    client = house.client()
    house.give(x.FlowOpened(client.flow))
    house.give(x.FlowClosed(client.flow))

    answers = sum(len(client.raw(build(BINDING, bytes(12)))) for _ in range(30))

    assert answers == 20
    assert not house.server._answers._connections


def test_the_limit_is_for_each_ipv4_address_and_each_ipv6_network() -> None:
    house = TurnHouse()

    def answers(*hosts: str) -> int:
        return sum(len(house.client(host).raw(build(BINDING, bytes(12)))) for host in hosts)

    assert answers(*(f"203.0.113.{n}" for n in range(100))) == 100
    assert answers(*(f"2a00:1450::{n:x}" for n in range(100))) == 20


def test_a_user_may_hold_so_many_allocations_with_whatever_tickets() -> None:
    house = TurnHouse(user_allocations=2)

    codes = [code_of(house.client(port=n + 1, expires_s=100 + n).allocate()) for n in range(3)]

    assert codes == [None, None, 486]
    assert code_of(house.client(port=9, user="bert").allocate()) is None


def test_an_allocation_that_ended_no_longer_counts() -> None:
    house = TurnHouse(user_allocations=1)
    house.client(port=1).allocate()

    house.passes(601)

    assert code_of(house.client(port=2).allocate()) is None


def test_a_reserved_port_counts_until_it_is_taken_or_over() -> None:
    house = TurnHouse(user_allocations=3)
    first, second = house.client(port=1), house.client(port=2)

    token = first.allocate(EVEN_PAIR).attributes[a.RESERVATION_TOKEN]
    assert code_of(second.allocate(EVEN_PAIR)) == 486
    assert code_of(second.allocate((a.RESERVATION_TOKEN, token))) is None
    assert code_of(house.client(port=3).allocate()) is None
    assert code_of(house.client(port=4).allocate()) == 486

    house.passes(601)
    assert code_of(house.client(port=5).allocate(EVEN_PAIR)) is None
    house.passes(31)
    assert house.server._tables.users.held_by("anna") == 1


def test_another_user_may_take_a_reserved_port_within_his_own_quota() -> None:
    house = TurnHouse(user_allocations=2)
    token = house.client(port=1).allocate(EVEN_PAIR).attributes[a.RESERVATION_TOKEN]

    other = house.client(port=2, user="bert")

    assert code_of(other.allocate((a.RESERVATION_TOKEN, token))) is None
    assert house.server._tables.users.held_by("anna") == 1
    assert house.server._tables.users.held_by("bert") == 1


def test_all_users_together_may_hold_so_many() -> None:
    house = TurnHouse(allocations=3)

    codes = [code_of(house.client(port=n + 1, user=f"u{n}").allocate()) for n in range(4)]

    assert codes == [None, None, None, 508]


def test_a_users_bandwidth_is_shared_by_all_allocations_and_both_ways() -> None:
    house = TurnHouse(user_bps=80_000)
    first, second = house.client(port=1), house.client(port=2)
    for client in (first, second):
        client.allocate()
        client.bind(0x4001)

    # 10,000 bytes a second, half of them at once: five packets of 1,000, in whatever direction.
    passed = 0
    for _ in range(10):
        passed += len(first.channel(0x4001, bytes(990)))
        passed += len(second.hears(bytes(990)))

    assert passed == 5
    assert house.server.drops["bandwidth"] == 15
    house.passes(0.3)
    assert sum(len(first.channel(0x4001, bytes(990))) for _ in range(10)) == 3


def test_sends_and_data_count_for_the_bandwidth_too() -> None:
    house = TurnHouse(user_bps=8_000)
    client = house.client()
    client.allocate()
    client.permit(PEER)

    assert len(client.send(bytes(900))) == 1
    assert client.send(bytes(900)) == []
    assert client.hears(bytes(900)) == []


def test_the_bandwidth_of_all_has_a_limit_of_its_own() -> None:
    house = TurnHouse(user_bps=0, total_bps=8_000)
    for n, user in enumerate(("anna", "bert")):
        client = house.client(port=n + 1, user=user)
        client.allocate()
        client.bind(0x4001)
        assert len(client.channel(0x4001, bytes(900))) == 1 - n


@pytest.mark.parametrize(
    ("bps", "most"), [(256_000, 1.51), (2_000_000, 1.51), (4_000_000, 1.26), (20_000_000, 1.26)]
)
def test_no_second_has_much_more_than_the_limit(bps: int, most: float) -> None:
    meter, sent = Meter(bps), deque[float]()
    for tick in range(3_000):  # of whoever sends all he can, three seconds long
        now = tick / 1_000
        while meter.may_relay(1_200, now):
            sent.append(now)
        while sent[0] <= now - 1.0:
            sent.popleft()
        assert len(sent) * 1_200 * 8 <= bps * most, now


@pytest.mark.parametrize("bps", [64_000, 2_000_000, 20_000_000])
@pytest.mark.parametrize("every_s", [0.001, 0.02, 0.1])
def test_a_steady_stream_at_the_limit_loses_nothing(bps: int, every_s: float) -> None:
    """Also when its packets come in lumps."""
    meter, sent = Meter(bps), 0
    for tick in range(1, int(5 / every_s)):
        now = tick * every_s
        while (sent + 160) * 8 <= bps * now:
            assert meter.may_relay(160, now), now
            sent += 160


def test_a_keyframe_passes_at_once_beside_the_video_before_it() -> None:
    meter = Meter(2_000_000)
    for tick in range(250):  # five seconds of 1 Mbit/s
        assert meter.may_relay(1_250, tick / 50)
        assert meter.may_relay(1_250, tick / 50)

    assert all(meter.may_relay(1_200, 5.0) for _ in range(84))  # 100 KB


def test_a_whole_packet_passes_however_low_the_limit_is() -> None:
    assert Meter(12_000).may_relay(1_500, 0.0)


def test_ending_an_allocation_brings_no_new_burst() -> None:
    house = TurnHouse(user_bps=8_000)
    sent = 0
    for n in range(3):
        client = house.client(port=n + 1)
        client.allocate()
        client.bind(0x4001)
        sent += len(client.channel(0x4001, bytes(900)))
        client.refresh((a.LIFETIME, bytes(4)))

    assert sent == 1


def test_users_without_an_allocation_are_forgotten_at_a_bound() -> None:
    users = Users(user_bps=1, total_bps=0)

    for n in range(IDLE_USERS + 100):
        users.release(users.add(str(n)))

    assert len(users) == IDLE_USERS


def test_permissions_and_channels_have_a_bound_and_expired_ones_do_not_count() -> None:
    house = TurnHouse(permissions=3, channels=2, nonce_s=5_000.0)
    client = house.client()
    client.allocate()
    peers: list[Address] = [(f"8.8.8.{n}", 9) for n in range(6)]

    assert code_of(client.permit(*peers[:4])) == 508
    assert code_of(client.permit(*peers[:2])) is None
    assert code_of(client.bind(0x4000, peers[0])) is None
    assert code_of(client.bind(0x4001, peers[1])) is None
    assert code_of(client.bind(0x4002, peers[2])) == 508
    assert code_of(client.permit(peers[3])) is None
    assert code_of(client.permit(peers[4])) == 508
    house.passes(590)
    client.refresh()
    house.passes(11)

    assert code_of(client.permit(*peers[3:6])) is None
    assert code_of(client.bind(0x4002, peers[3])) is None


def test_more_peers_than_a_table_holds_are_refused_before_each_is_judged() -> None:
    client = TurnHouse(permissions=3).client()
    client.allocate()

    answer = client.permit(*[("8.8.8.8", 9)] * 3, ("10.0.0.1", 9))

    assert code_of(answer) == 508


@pytest.mark.parametrize(
    "wrong",
    [
        {"realm": ""},
        {"realm": "r" * (REALM_BYTES + 1)},
        {"first_port": 80},
        {"first_port": 5001, "last_port": 5000},
        {"default_lifetime_s": 0},
        {"default_lifetime_s": 10, "max_lifetime_s": 5},
        {"relays": (*RELAYS, RelayHost("8.8.8.8", "8.8.8.8"))},
    ],
)
def test_settings_that_contradict_each_other_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        TurnSettings(**{"relays": RELAYS, **wrong})  # type: ignore[arg-type]


@given(st.lists(st.binary(max_size=200), max_size=10))
def test_a_stranger_leaves_no_state_whatever_he_sends(pieces: list[bytes]) -> None:
    house = TurnHouse()

    for piece in pieces:
        house.client().raw(piece)

    assert (house.server.allocations, house.open) == (0, {})


@given(st.data())
def test_no_mutant_of_a_real_conversation_raises(data: st.DataObject) -> None:
    house = TurnHouse()
    client = house.client()
    client.allocate()
    client.bind(0x4001)
    chance = random.Random(data.draw(st.integers(0, 2**32)))
    signed = [client.sign(method, UDP) for method in (ALLOCATE, 0x004, 0x008, 0x009)]
    samples = [*signed, vectors.REQUEST, vectors.LONG_TERM_SHA256, b"\x40\x01\x00\x05hello",
               build(0x006 | INDICATION, bytes(12), [(a.DATA, b"x")])]  # fmt: skip

    for _ in range(50):
        mutant = bytearray(chance.choice(samples))
        for _ in range(chance.randint(1, 4)):
            mutant[chance.randrange(len(mutant))] = chance.randrange(256)
        del mutant[chance.randint(1, len(mutant)) :]
        client.raw(bytes(mutant))

    assert house.server.allocations <= 1
    assert len(house.open) <= 1
