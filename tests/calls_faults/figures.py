"""Measures calls in bad networks: `python -m tests.calls_faults.figures [--seed N]`, ten minutes.

Prints the tables of docs/bad-networks.md. Needs Chromium and the packages of `make web`.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.calls_faults.meeting import Meeting, meeting
from tests.calls_faults.weathers import OUTAGE_S, WEATHERS, Figures, weather

WAYS = ("relayed", "direct")
BEFORE_S, DURING_S = 6.0, 15.0
SHORT = {"address change": 5.0, "10 s outage": OUTAGE_S}
AFTER_S, SHORT_AFTER_S = 30.0, 12.0
"""Chromium asks for more only slowly when packets were lost."""
HEAD = (
    "| | frames/s before | during | after | back after | sound made up | freezes | frozen | MOS |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)


async def measure(way: str, seed: int) -> None:
    _say(f"\n{way}\n\n{HEAD}")
    with tempfile.TemporaryDirectory() as folder:
        async with meeting(Path(folder), seed) as met:
            await (met.relays() if way == "relayed" else met.goes_directly())
            for name in WEATHERS:
                await _measure_one(met, name)


async def _measure_one(met: Meeting, name: str) -> None:
    call_id = await met.calls()
    during = SHORT.get(name, DURING_S)
    after = SHORT_AFTER_S if name in SHORT else AFTER_S
    found = await weather(met, name, before_s=BEFORE_S, during_s=during, after_s=after)
    await met.alice.does("leave")
    await asyncio.sleep(1.5)
    record = await met.asks(f"/api/v1/calls/{call_id}/quality")
    _say(_row(name, found, _worst_mos(record)))


def _worst_mos(record: Any) -> float | None:
    """Of the worst window of the page that fared worse."""
    found = [
        window["mos"]
        for participant in record.get("participants", [])
        for window in participant["windows"]
        if window.get("mos")
    ]
    return min(found, default=None)


def _row(name: str, found: Figures, mos: float | None) -> str:
    back = "not yet" if found.back_s is None else f"{found.back_s:.1f} s"
    return (
        f"| {name} | {found.fps_before:.1f} | {found.fps_during:.1f} | {found.fps_after:.1f} "
        f"| {back} | {found.concealed:.1%} | {found.freezes} | {found.freeze_s:.1f} s "
        f"| {'-' if mos is None else f'{mos:.2f}'} |"
    )


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main() -> None:
    options = argparse.ArgumentParser(prog="tests.calls_faults.figures")
    options.add_argument("--seed", type=int, default=20261121)
    options.add_argument("--way", choices=WAYS, action="append")
    chosen = options.parse_args()
    _say(f"seed {chosen.seed}")
    for way in chosen.way or WAYS:
        await measure(way, chosen.seed)


if __name__ == "__main__":
    asyncio.run(main())
