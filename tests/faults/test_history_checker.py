"""The checkers are checked: a good history passes, each planted bug is found."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from tests.faults.history import planted, porcupine
from tests.faults.history.checker import check
from tests.faults.history.record import (
    Final,
    Live,
    Ok,
    Record,
    Refused,
    Synced,
    read_history,
    row_of,
    write_history,
)
from tests.faults.history.rehearsal import rehearse

replace = msgspec.structs.replace


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32), processes=st.integers(2, 5), commands=st.integers(1, 80))
def test_a_good_history_passes(seed: int, processes: int, commands: int):
    report = check(rehearse(seed, processes=processes, commands=commands))

    assert report.good, report


@pytest.mark.parametrize("rule", planted.BUGS)
@settings(max_examples=30)
@given(seed=st.integers(0, 2**32))
def test_each_planted_bug_is_found(rule: str, seed: int):
    try:
        history = planted.BUGS[rule](rehearse(seed, commands=60), random.Random(seed))
    except planted.NoPlace:
        reject()

    report = check(history)

    assert report.broken[rule], report


def _first(history: list[Record], kind: type[Record], where: Callable[..., bool]) -> int:
    return next(n for n, r in enumerate(history) if isinstance(r, kind) and where(r))


def _skip_live(history: list[Record]) -> None:
    heard = [n for n, r in enumerate(history) if isinstance(r, Live) and r.process == "p0"]
    del history[heard[1]]


def _resume_short(history: list[Record]) -> None:
    place = _first(history, Synced, lambda r: len(r.rows) > 1 and r.after > 0)
    cut = history[place]
    assert isinstance(cut, Synced)
    history[place] = replace(cut, rows=cut.rows[:-1], head=cut.head - 1)


def _another_answer(history: list[Record]) -> None:
    place = _first(history, Ok, lambda r: True)
    answer = history[place]
    assert isinstance(answer, Ok)
    history[place] = replace(answer, id="another")


def _row_changes(history: list[Record]) -> None:
    place = _first(history, Live, lambda r: True)
    live = history[place]
    assert isinstance(live, Live)
    history[place] = replace(live, row=replace(live.row, body="not what was said"))


def _blanked_unasked(history: list[Record]) -> None:
    place = _first(history, Final, lambda r: True)
    final = history[place]
    assert isinstance(final, Final)
    rows = [*final.rows]
    rows[2] = replace(rows[2], body="", token="", gone=True)
    history[place] = replace(final, rows=tuple(rows))


def _refused_and_stored(history: list[Record]) -> None:
    place = _first(history, Ok, lambda r: True)
    answer = history[place]
    assert isinstance(answer, Ok)
    history[place] = Refused(answer.t, answer.process, answer.op, "forbidden")


@pytest.mark.parametrize(
    ("rule", "plant"),
    [
        ("ascend", _skip_live),
        ("resume", _resume_short),
        ("lost", _another_answer),
        ("changed", _row_changes),
        ("changed", _blanked_unasked),
        ("ghost", _refused_and_stored),
    ],
)
def test_other_bugs_are_found_too(rule: str, plant: Callable[[list[Record]], None]):
    history = next(
        h for n in range(99) if _has_resume(h := rehearse(n, commands=80))
    )  # the first seed with everything in it
    plant(history)

    report = check(history)

    assert report.broken[rule], report


def _has_resume(history: list[Record]) -> bool:
    return any(isinstance(r, Synced) and len(r.rows) > 1 and r.after > 0 for r in history)


def test_a_history_survives_its_file(tmp_path: Path):
    history = rehearse(1)
    path = tmp_path / "history.jsonl"
    write_history(path, history)
    with path.open("ab") as torn:
        torn.write(b'["invoke",12')

    assert list(read_history([path])) == history


def test_a_row_is_told_by_all_bytes_but_the_client_id():
    wire = b'{"room_id":"r","seq":2,"id":"e","at":5,"type":"message","content":{"body":"c1 hello"}}'
    mine = wire.replace(b'"content"', b'"client_id":"c1","content"')

    room, row = row_of(wire)

    assert room == "r"
    assert row_of(mine) == (room, row)
    assert (row.token, row.gone) == ("c1", False)
    assert row_of(wire.replace(b"hello", b"hallo"))[1].body != row.body
    assert row_of(wire.replace(b'"at":5', b'"at":5,"reply_to":1'))[1].fixed != row.fixed


@pytest.mark.slow
def test_a_million_records_are_judged_in_seconds(tmp_path: Path):
    path = tmp_path / "history.jsonl"
    write_history(path, rehearse(3, processes=4, commands=150_000))
    records = sum(1 for _ in path.open("rb"))
    began = time.process_time()

    report = check(read_history([path]))

    assert report.good, report
    assert records > 1_000_000
    assert time.process_time() - began < 60


@pytest.fixture(scope="module")
def judge() -> Path:
    return porcupine.program()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_porcupine_passes_a_good_history(seed: int, judge: Path, tmp_path: Path):
    path = tmp_path / "history.jsonl"
    write_history(path, rehearse(seed, commands=3000, room="a") + rehearse(seed, room="b"))

    verdict = porcupine.judge(judge, [path])

    assert verdict.good, verdict
    assert verdict.rooms == 2


@pytest.mark.slow
@pytest.mark.parametrize("rule", planted.BUGS)
@pytest.mark.parametrize("seed", range(5))
def test_porcupine_finds_each_planted_bug(rule: str, seed: int, judge: Path, tmp_path: Path):
    path = tmp_path / "history.jsonl"
    history = planted.BUGS[rule](rehearse(seed, commands=3000), random.Random(seed))
    write_history(path, history)

    verdict = porcupine.judge(judge, [path])

    assert not verdict.good
    assert verdict.broken_rooms == ["garden"]
