"""Pauses, batches and facts: what is decided without I/O."""

from __future__ import annotations

import pytest

from server.bus.facts import session_ended, stored, user_created
from server.bus.handlers import LONGEST_PAUSE_S, batches, goes_alone, pause_s
from server.kernel.ids import DeviceId, SessionId, UserId
from storage.api import Delivery
from tests.support.buses import fact
from tests.support.stores import event


@pytest.mark.parametrize("chances", [(0.0, 0.0), (1.0, 0.0), (0.5, 0.5)])
def test_each_pause_is_longer_than_the_one_before(chances: tuple[float, float]) -> None:
    before, after = chances

    for attempts in range(1, 6):
        assert pause_s(attempts, before) < pause_s(attempts + 1, after)


def test_pauses_have_a_bound() -> None:
    assert pause_s(1_000_000, 0.5) == LONGEST_PAUSE_S


def test_eight_attempts_outlast_an_hours_outage() -> None:
    assert sum(pause_s(attempts, 0.0) for attempts in range(1, 8)) > 3_600


def test_a_fact_that_failed_often_goes_alone() -> None:
    deliveries = [Delivery(str(n), fact(n), n) for n in (1, 2, 5, 4)]

    parts = batches(deliveries, 10, alone=lambda delivery: goes_alone(delivery, 8))

    assert [[delivery.handle for delivery in part] for part in parts] == [["1", "2", "4"], ["5"]]


def test_a_batch_has_its_size() -> None:
    deliveries = [Delivery(str(n), fact(n), 1) for n in range(5)]

    parts = batches(deliveries, 2, alone=lambda delivery: False)

    assert [len(part) for part in parts] == [2, 2, 1]


def test_the_same_row_of_a_log_gives_the_same_fact() -> None:
    told = stored(event(7))

    assert told == stored(event(7))
    assert (told.name, told.id) == ("message.stored", "message.stored:event-7")
    assert told.data == {
        "room_id": "garden", "seq": 7, "event_id": "event-7", "sender_id": "alice"
    }  # fmt: skip


def test_facts_carry_no_body() -> None:
    assert b"message 7" not in repr(stored(event(7))).encode()


def test_facts_of_accounts_name_whom_they_are_about() -> None:
    session = SessionId("s-1")
    created = user_created(UserId("alice"), 5)
    ended = session_ended(session, 6, user_id=UserId("alice"), device_id=DeviceId("d-1"))

    assert (created.id, created.data) == ("user.created:alice", {"user_id": "alice"})
    assert ended.data == {"session_id": "s-1", "user_id": "alice", "device_id": "d-1"}
