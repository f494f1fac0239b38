"""Medians of runs, how they stand to what is wanted, and the files they are written to."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import machine
from bench.works import Figures, Wanted

FOLDER = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Spread:
    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{show(self.median)} ({show(self.low)}–{show(self.high)})"


Medians = dict[str, dict[str, Spread]]
"""Peer to figure to spread."""


def show(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def spread_of(runs: Sequence[Figures]) -> dict[str, Spread]:
    out = {}
    for name in runs[0]:
        values = [run[name] for run in runs]
        out[name] = Spread(statistics.median(values), min(values), max(values))
    return out


def verdict(wanted: Wanted, medians: Medians) -> str:
    """One line: Hubbub's figure, the floor and the aim, and which of them it reaches."""
    ours = medians["hubbub"][wanted.figure].median
    unit = ""
    if wanted.of is not None:
        if wanted.of not in medians:
            return f"{wanted.figure}: {show(ours)}; {wanted.of} was not measured"
        ours, unit = ours / medians[wanted.of][wanted.figure].median, f" times {wanted.of}"
    better = (lambda a, b: a <= b) if wanted.lower_is_better else (lambda a, b: a >= b)
    reached = "below the floor"
    if better(ours, wanted.least):
        reached = "reaches the aim" if better(ours, wanted.aim) else "reaches the floor"
    return (
        f"{wanted.figure}: {show(ours)}{unit}, at least {show(wanted.least)}, "
        f"aim {show(wanted.aim)}: **{reached}**"
    )


def table(medians: Medians) -> list[str]:
    peers = list(medians)
    names = list(dict.fromkeys(name for figures in medians.values() for name in figures))
    lines = [f"| | {' | '.join(peers)} |", f"| --- |{' --- |' * len(peers)}"]
    for name in names:
        cells = [str(medians[peer].get(name, "")) for peer in peers]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def write(sections: Sequence[Mapping[str, Any]], raw: Mapping[str, Any], runs: int) -> Path:
    """`sections`: {"name", "text", "lines"} each. Returns the JSON file's path."""
    FOLDER.mkdir(exist_ok=True)
    commit = _commit()
    about = {
        "commit": commit, "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "runs": runs, "machine": machine.describe(),
    }  # fmt: skip
    path = FOLDER / f"{time.strftime('%Y-%m-%d', time.gmtime())}-{commit}.json"
    path.write_text(json.dumps({"about": about, "works": raw}, indent=1) + "\n")
    lines = [
        "# Latest results", "",
        f"{about['date']}, commit {commit}, {about['machine']['cpu']}, "  # type: ignore[index]
        f"{about['machine']['cores']} cores, Python {about['machine']['python']}; "  # type: ignore[index]
        f"median of {runs} (lowest–highest). How it is measured: docs/benchmarks.md.", "",
    ]  # fmt: skip
    for section in sections:
        lines += [f"## {section['name']}: {section['text']}", "", *section["lines"], ""]
    (FOLDER / "latest.md").write_text("\n".join(lines).rstrip() + "\n")
    return path


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"
