"""Windows of a call, folded into a record that stays small."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from server.kernel.json import encode
from signaling.quality.record import (
    BPS_MAX,
    COUNT_MAX,
    MS_MAX,
    SUMS,
    WINDOWS,
    Pair,
    Record,
    Window,
    fold,
)
from tests.support.call_windows import ANY_WINDOW, START, TEN_S, in_a_row, window

STATE_BYTES = 65_536


def told(record: Record, *windows: Window, **given: Any) -> Record:
    return fold(record, windows, **({"setup_ms": None, "pair": None} | given))[0]


def test_windows_are_kept_in_the_order_of_time() -> None:
    first, second, third = in_a_row({}, {"audio_lost": 1}, {"audio_lost": 2})

    record = told(told(Record(), third), second, first)

    assert record.windows == (first, second, third)


def test_a_window_sent_again_counts_once() -> None:
    windows = in_a_row({}, {"freezes": 1})
    record = told(Record(), *windows)

    again, fresh = fold(record, windows, setup_ms=None, pair=None)

    assert (again, fresh) == (record, ())


def test_windows_of_a_clock_that_was_corrected_both_count() -> None:
    first = window()
    second = window(first.end - 300)

    assert told(Record(), first, second).windows == (first, second)


def test_a_window_over_another_does_not_count() -> None:
    first = window()

    record = told(Record(), first, window(START + 2_000, 1_000), window(START - 1, 60_000))

    assert len(record.windows) == 1


def test_the_set_up_is_the_first_told_and_the_pair_the_last() -> None:
    relay = Pair("relay", "srflx", "udp", "tls")
    direct = Pair("host", "host", "udp")

    record = told(told(Record(), setup_ms=300, pair=relay), setup_ms=900, pair=direct)
    record = told(record)

    assert (record.setup_ms, record.pair) == (300, direct)


def test_past_an_hour_neighbours_become_one() -> None:
    record = Record()
    for n in range(WINDOWS + 1):
        record = told(record, window(START + n * TEN_S, audio_lost=n % 3, bps_in=1_000 + n))

    first = record.windows[0]
    assert len(record.windows) == WINDOWS
    assert (first.at, first.ms, first.audio_received, first.audio_lost) == (START, 20_000, 1_000, 1)
    assert (first.bps_in, first.rtt_ms) == (1_000, 40.0)
    assert record.windows[-1].end == START + (WINDOWS + 1) * TEN_S


def test_what_was_merged_is_known_when_it_is_sent_again() -> None:
    windows = [window(START + n * TEN_S) for n in range(3 * WINDOWS)]
    record = told(Record(), *windows)

    again, fresh = fold(record, windows, setup_ms=None, pair=None)

    assert (again, fresh) == (record, ())
    assert max(each.ms for each in record.windows) <= 4 * TEN_S


def test_the_largest_record_fits_into_its_row() -> None:
    huge = dict.fromkeys(SUMS, COUNT_MAX) | {"bps_in": BPS_MAX, "bps_out": BPS_MAX}
    some = [
        window(START + n * MS_MAX, MS_MAX, rtt_ms=59_999.9, audio_jitter_ms=59_999.9,
               limited="bandwidth", **huge)
        for n in range(2 * WINDOWS)
    ]  # fmt: skip

    record = told(Record(), *some, setup_ms=MS_MAX, pair=Pair("relay", "relay", "udp", "udp"))

    assert len(record.windows) == WINDOWS
    assert len(encode(record)) <= STATE_BYTES


@settings(max_examples=150, deadline=None)
@given(st.lists(ANY_WINDOW, max_size=40), st.randoms(use_true_random=False))
def test_however_windows_come_a_second_time_changes_nothing(
    windows: list[Window], rng: Any
) -> None:
    record = told(Record(), *windows)
    rng.shuffle(windows)

    assert told(record, *windows) == record
    for each in windows:
        assert told(record, each) == record


@settings(max_examples=150, deadline=None)
@given(st.lists(ANY_WINDOW, max_size=40))
def test_kept_windows_are_of_different_times_and_of_what_was_told(windows: list[Window]) -> None:
    record = Record()
    for each in windows:
        record = told(record, each)

    assert all(each in windows for each in record.windows)
    for a, b in itertools.combinations(record.windows, 2):
        assert a.at <= b.at
        assert a.middle < b.middle
        assert not a.at <= b.middle < a.end
        assert not b.at <= a.middle < b.end


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=500), st.integers(1, 30))
def test_sums_survive_the_merging(losses: list[int], at_once: int) -> None:
    windows = [window(START + n * TEN_S, audio_lost=lost) for n, lost in enumerate(losses)]
    record = Record()
    for n in range(0, len(windows), at_once):
        record = told(record, *windows[n : n + at_once])

    assert sum(each.audio_lost for each in record.windows) == sum(losses)
    assert sum(each.ms for each in record.windows) == TEN_S * len(losses)
    assert len(record.windows) == min(WINDOWS, len(losses))


def test_a_record_is_the_same_after_it_was_stored() -> None:
    gap = replace(window(START + TEN_S), rtt_ms=None, audio_jitter_ms=None, limited="cpu")
    record = told(Record(), window(), gap, setup_ms=250, pair=Pair("host", "prflx", "udp"))

    assert msgspec.json.decode(encode(record), type=Record) == record
