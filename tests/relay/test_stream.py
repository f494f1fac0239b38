"""The order of one room's events at one node."""

from __future__ import annotations

import random

from server.chat.relay.stream import MAX_HELD, RoomStream
from server.kernel.ids import Seq


def test_what_follows_goes_through_at_once() -> None:
    stream: RoomStream[str] = RoomStream(Seq(3))

    assert stream.offer(4, "four") == ["four"]
    assert stream.told == 4
    assert not stream.gap


def test_what_comes_early_waits_for_what_is_missing() -> None:
    stream: RoomStream[str] = RoomStream(Seq(3))

    assert stream.offer(6, "six") == []
    assert stream.offer(5, "five") == []
    assert stream.gap
    assert stream.offer(4, "four") == ["four", "five", "six"]
    assert not stream.gap


def test_what_was_let_through_does_not_come_again() -> None:
    stream: RoomStream[str] = RoomStream(Seq(3))
    stream.offer(4, "four")

    assert stream.offer(4, "four") == []
    assert stream.offer(2, "two") == []


def test_before_the_beginning_is_known_everything_is_held() -> None:
    stream: RoomStream[str] = RoomStream()

    assert stream.offer(7, "seven") == []
    assert stream.offer(6, "six") == []
    assert stream.begin(Seq(5)) == ["six", "seven"]


def test_what_lies_before_the_beginning_is_forgotten() -> None:
    stream: RoomStream[str] = RoomStream()
    stream.offer(5, "five")
    stream.offer(6, "six")

    assert stream.begin(Seq(5)) == ["six"]
    assert not stream.gap


def test_too_much_behind_a_gap_is_dropped_and_known_to_be_missing() -> None:
    stream: RoomStream[int] = RoomStream(Seq(0))
    for seq in range(2, MAX_HELD + 10):
        stream.offer(seq, seq)

    told = stream.offer(1, 1)

    assert told == list(range(1, MAX_HELD + 2))
    assert stream.gap


def test_any_order_of_arrival_comes_out_in_order_and_once(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(200):
        stream: RoomStream[int] = RoomStream(Seq(0))
        arrivals = [seq for seq in range(1, 40) for _ in range(chance.randint(1, 3))]
        chance.shuffle(arrivals)

        told = [seq for arrival in arrivals for seq in stream.offer(arrival, arrival)]

        assert told == list(range(1, 40))
