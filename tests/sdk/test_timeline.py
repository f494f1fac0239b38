"""The SDK's timeline: every event once, ascending, whatever order it comes in."""

from __future__ import annotations

import random

from hubbub.models import Event, Gap, GapSpan, Page, Reset, RoomEvent, RoomInfo, SyncedRoom
from hubbub.timeline import Output, Timeline
from hypothesis import given, settings
from hypothesis import strategies as st


def event(seq: int, log_id: str = "log") -> Event:
    return Event("garden", log_id, seq, f"e{seq}", 0, "message", "alice")


def info(head: int, log_id: str = "log") -> RoomInfo:
    return RoomInfo("garden", "group", log_id, head)


def page(first: int, last: int, head: int, *, more: bool = False, first_seq: int = 1) -> Page:
    return Page("log", head, first_seq, [event(seq) for seq in range(first, last + 1)], more)


def seqs(outputs: list[Output]) -> list[int]:
    return [item.event.seq for item in outputs if isinstance(item, RoomEvent)]


def test_live_events_in_order_come_out_at_once():
    timeline = Timeline("garden", "log", 4)

    out = timeline.live(event(5)) + timeline.live(event(6))

    assert seqs(out) == [5, 6]
    assert not timeline.wants


def test_an_event_that_comes_twice_comes_out_once():
    timeline = Timeline("garden", "log", 4)

    out = timeline.live(event(5)) + timeline.live(event(5))

    assert seqs(out) == [5]


def test_events_behind_a_hole_wait_for_its_page():
    timeline = Timeline("garden", "log", 4)

    early = timeline.live(event(7))
    wanted = timeline.wants
    out = timeline.page(page(5, 7, 7))

    assert (early, wanted) == ([], True)
    assert seqs(out) == [5, 6, 7]
    assert not timeline.wants


def test_live_events_before_the_sync_answer_are_held():
    timeline = Timeline("garden", "log", 4)
    timeline.wait()

    early = timeline.live(event(6))
    out = timeline.synced(SyncedRoom(info(5), [event(5)]))

    assert early == []
    assert seqs(out) == [5, 6]


def test_a_long_absence_is_fetched_page_by_page():
    timeline = Timeline("garden", "log", 0)
    timeline.wait()

    first = timeline.synced(SyncedRoom(info(4), [event(1), event(2)], more=True))
    wanted = timeline.wants
    rest = timeline.page(page(3, 4, 4))

    assert wanted
    assert seqs(first + rest) == [1, 2, 3, 4]
    assert not timeline.wants


def test_a_gap_is_told_and_passed():
    timeline = Timeline("garden", "log", 2)
    timeline.wait()

    out = timeline.synced(SyncedRoom(info(9), [event(8), event(9)], gap=GapSpan(2, 8)))

    assert out[0] == Gap("garden", 2, 8)
    assert seqs(out) == [8, 9]


def test_another_log_resets_and_keeps_what_came_live():
    timeline = Timeline("garden", "log", 90)
    timeline.wait()
    timeline.live(event(4, "new"))

    out = timeline.synced(
        SyncedRoom(info(3, "new"), [event(2, "new"), event(3, "new")], reset=True)
    )

    assert out[0] == Reset("garden", "new")
    assert seqs(out) == [2, 3, 4]


def test_a_new_room_starts_with_its_news():
    timeline = Timeline("garden")
    timeline.joined("log", 3)

    out = timeline.live(event(1)) + timeline.live(event(2))

    assert seqs(out) == [1, 2]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40))
def test_any_mix_of_live_and_pages_gives_each_seq_once(seed: int, head: int):
    """Drops, doubles and disorder in what comes live; pages close what is missing."""
    rng = random.Random(seed)
    timeline, heard = Timeline("garden", "log", 0), list[int]()
    live = [seq for seq in range(1, head + 1) for _ in range(rng.choice((0, 1, 1, 2)))]
    rng.shuffle(live)

    for seq in live:
        heard += seqs(timeline.live(event(seq)))
        if timeline.wants and rng.random() < 0.5:
            start, most = timeline.seq or 0, rng.randint(1, 10)
            last = min(head, start + most)
            heard += seqs(timeline.page(page(start + 1, last, head, more=last < head)))
    timeline.missed(head)
    while timeline.wants:
        start = timeline.seq or 0
        last = min(head, start + 7)
        heard += seqs(timeline.page(page(start + 1, last, head, more=last < head)))

    assert heard == list(range(1, head + 1))
