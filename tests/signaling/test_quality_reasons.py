"""Why a call was bad, and how bad it was."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signaling.quality.reasons import REASONS, Reason, why
from signaling.quality.record import Pair, Record, Window, fold
from signaling.quality.verdict import mean_score, score
from signaling.quality.verdict import verdict as verdict_on
from tests.support.call_windows import ANY_WINDOW, START, TEN_S, in_a_row, window

SILENT = {
    "audio_received": 0, "video_received": 0, "frames": 0, "bps_in": 0,
}  # fmt: skip


def of(*each: dict[str, Any], **given: Any) -> Record:
    return Record(windows=in_a_row(*each), **given)


def verdict(record: Record) -> str:
    return verdict_on(record.windows, mean_score(record.windows))


def words(record: Record) -> list[str]:
    return [each.reason for each in why(record)]


def test_a_good_call_has_no_reasons() -> None:
    record = of({}, {}, {}, setup_ms=400, pair=Pair("relay", "host", "udp", "udp"))

    assert (why(record), verdict(record)) == ((), "good")


@pytest.mark.parametrize(
    ("reason", "text", "bad"),
    [
        ("loss", "17 % of the packets were lost.", {"audio_lost": 100, "video_lost": 180}),
        ("loss", "7 % of the packets were lost.", {"audio_lost": 100}),
        (
            "delay",
            "Packets took up to 800 ms there and back: people talk at the same time.",
            {"rtt_ms": 800.0},
        ),
        ("jitter", "Packets came unevenly, by up to 70 ms.", {"audio_jitter_ms": 70.0}),
        ("gaps", "12 % of the sound came too late to be played.", {"concealed_ms": 1_200}),
        (
            "slow_network",
            "The network took no better picture from here: 90 kbit/s at the least.",
            {"limited": "bandwidth", "bps_out": 90_000},
        ),
        ("slow_computer", "This computer was too slow for a better picture.", {"limited": "cpu"}),
        ("reconnecting", "The connection was lost for 3.4 s.", {"reconnecting_ms": 1_700}),
        (
            "freezes",
            "The picture stood still 4 times, 3.0 s in all.",
            {"freezes": 2, "freeze_ms": 1_500},
        ),
        (
            "one_way",
            "Nothing arrived here, neither sound nor picture, though it was sent.",
            SILENT,
        ),
    ],
)
def test_each_trouble_is_named_with_its_time(reason: str, text: str, bad: dict[str, Any]) -> None:
    record = of({}, bad, bad, {})

    assert why(record) == (Reason(reason, START + TEN_S, START + 3 * TEN_S, text),)


def test_troubles_in_a_row_are_one_stretch() -> None:
    lossy = {"audio_lost": 60}
    record = of(lossy, lossy, {}, lossy)

    assert [(each.start - START, each.end - START) for each in why(record)] == [
        (0, 2 * TEN_S), (3 * TEN_S, 4 * TEN_S),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        (Pair("relay", "host", "udp", "tcp"), ["relay"]),
        (Pair("relay", "host", "udp", "tls"), ["relay"]),
        (Pair("host", "host", "tcp"), ["tcp"]),
        (Pair("relay", "relay", "udp", "udp"), []),
        (Pair("host", "relay", "udp"), []),
    ],
)
def test_a_firewall_is_seen_by_the_candidate_pair(pair: Pair, expected: list[str]) -> None:
    assert words(of({}, pair=pair)) == expected


@pytest.mark.parametrize("limited", ["bandwidth", "cpu"])
def test_a_picture_that_is_still_growing_is_no_trouble(limited: str) -> None:
    assert words(of({"limited": limited}, {}, {})) == []


def test_a_late_start_is_a_reason() -> None:
    (late,) = why(of({}, setup_ms=7_200))

    assert (late.reason, late.start, late.end) == ("slow_setup", START - 7_200, START)
    assert late.text == "It took 7.2 s until the call was connected."


def test_one_who_listens_only_is_not_cut_off() -> None:
    assert words(of({**SILENT, "bps_out": 0})) == []


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        ({}, "good"),
        ({"audio_lost": 40}, "fair"),
        ({"audio_lost": 150}, "bad"),
        ({"rtt_ms": 250.0}, "good"),
        ({"rtt_ms": 700.0}, "fair"),
        ({"rtt_ms": 1_200.0}, "bad"),
        ({"concealed_ms": 3_000}, "bad"),
        ({"freezes": 2, "freeze_ms": 500}, "fair"),
        ({"freezes": 9, "freeze_ms": 4_000}, "bad"),
        (SILENT, "bad"),
        ({"audio_received": 0}, "unknown"),
    ],
)
def test_the_verdict(bad: dict[str, Any], expected: str) -> None:
    assert verdict(of(bad, bad, bad)) == expected


def test_a_minute_of_silence_in_an_hour_is_not_averaged_away() -> None:
    fine: list[dict[str, Any]] = [{}] * 177
    record = of(*fine, *[{"reconnecting_ms": TEN_S, **SILENT}] * 6, *fine)

    assert mean_score(record.windows) == pytest.approx(4.35, abs=0.02)
    assert verdict(record) == "fair"


def test_nothing_is_known_of_a_call_without_windows() -> None:
    assert (verdict(Record()), mean_score(()), why(Record(setup_ms=9_000))) == ("unknown", None, ())


def test_a_little_of_everything_is_a_reason_too() -> None:
    record = of(*[{"rtt_ms": 390.0, "audio_lost": 12, "audio_jitter_ms": 35.0}] * 3)

    (reason,) = why(record)

    assert (verdict(record), reason.reason) == ("fair", "delay")
    assert reason.text == "Some loss and delay at once: 1 % of the packets, 390 ms."


def test_a_short_hitch_of_the_picture_is_none() -> None:
    record = of({}, {"freezes": 1, "freeze_ms": 262}, {})

    assert (verdict(record), why(record)) == ("good", ())


def test_an_outage_is_no_loss_twice() -> None:
    away = window(reconnecting_ms=5_000, concealed_ms=5_000)

    assert score(away, 0.0) == pytest.approx((score(window(), 0.0) or 0) / 2 + 0.5)


def test_a_window_without_round_trip_counts_with_that_of_the_others() -> None:
    slow = {"rtt_ms": 900.0}

    assert mean_score(in_a_row(slow, {"rtt_ms": None})) == mean_score(in_a_row(slow, slow))


PAIRS = st.none() | st.builds(
    Pair,
    local=st.sampled_from(["host", "srflx", "prflx", "relay"]),
    remote=st.sampled_from(["host", "relay"]),
    protocol=st.sampled_from(["udp", "tcp"]),
    relay_protocol=st.sampled_from([None, "udp", "tcp", "tls"]),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(ANY_WINDOW, max_size=60), PAIRS, st.none() | st.integers(0, 86_400_000))
def test_whatever_was_measured_there_is_an_answer(
    windows: list[Window], pair: Pair | None, setup_ms: int | None
) -> None:
    record, _ = fold(Record(), windows, setup_ms=setup_ms, pair=pair)

    reasons, mos = why(record), mean_score(record.windows)

    assert verdict(record) in ("good", "fair", "bad", "unknown")
    assert mos is None or 1.0 <= mos <= 4.5
    assert len(reasons) <= REASONS
    assert reasons or verdict(record) in ("good", "unknown")
    assert [each.start for each in reasons] == sorted(each.start for each in reasons)
    for each in reasons:
        assert each.start <= each.end
        assert 10 < len(each.text) < 120
