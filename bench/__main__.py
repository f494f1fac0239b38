"""`make bench`: every figure beside its peers, in one command, on this machine."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from typing import Any

from bench import (
    cluster,
    first_frame,
    generator,
    history,
    machine,
    one_port,
    results,
    servers,
    shapes,
    startup,
    turn,
)
from bench.generator import CannotRun
from bench.results import Medians, spread_of, verdict
from bench.works import Figures, Wanted, Work, works

OTHERS = ("page", "start", "turn", "one_port", "first_frame", "cluster")


def main() -> int:
    options = _options()
    generator.compile_generator()
    if machine.busy() > 0.5:
        print(f"Other programs keep this machine busy (load {machine.busy():.1f}): expect noise.")
    todo = works(window_s=2 if options.quick else 4, warmup_s=1)
    chosen = set(options.only.split(",")) if options.only else None
    sections: list[dict[str, Any]] = []
    raw: dict[str, Any] = {}
    for work in todo:
        if chosen is None or work.name in chosen:
            _measure_work(work, options, sections, raw)
    if chosen is None or "page" in chosen:
        _measure_page(options, sections, raw)
    if chosen is None or "start" in chosen:
        runs = [startup.measure() for _ in range(options.runs)]
        _add("start", "hubbub serve on an empty folder", {"hubbub": runs}, startup.WANTED,
             sections, raw)  # fmt: skip
    if chosen is None or "turn" in chosen:
        _measure_turn(options, sections, raw)
    if chosen is None or "one_port" in chosen:
        _measure_one_port(options, sections, raw)
    if chosen is None or "first_frame" in chosen:
        _measure_first_frame(options, sections, raw)
    if chosen is None or "cluster" in chosen:
        _measure_cluster(options, sections, raw)
    if not sections:
        names = [work.name for work in todo] + list(OTHERS)
        raise CannotRun(f"Nothing to do. --only takes of: {', '.join(names)}")
    if options.write:
        print(f"Written to {results.write(sections, raw, options.runs)}")
    return 1 if any(run.get("faults") for work in raw.values() for run in work["faulty"]) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", default="", help="for example W1a,W2,page,start")
    parser.add_argument("--peers", default=",".join(servers.PEERS), help="which servers")
    parser.add_argument("--shapes", default=",".join(shapes.NAMES), help="stores of `cluster`")
    parser.add_argument("--runs", type=int, default=3, choices=range(1, 10))
    parser.add_argument("--quick", action="store_true", help="short windows, a shorter history")
    parser.add_argument("--no-write", dest="write", action="store_false", help="only print")
    return parser.parse_args()


def _measure_work(
    work: Work, options: argparse.Namespace, sections: list[dict[str, Any]], raw: dict[str, Any]
) -> None:
    """Runs of the peers take turns, so that a busy minute of the machine hits all of them."""
    peers = [peer for peer in work.peers if peer in options.peers.split(",")]
    runs: dict[str, list[Figures]] = {peer: [] for peer in peers}
    faulty: list[dict[str, Any]] = []
    for number in range(options.runs):
        for peer in peers:
            with servers.serving(peer, work.sockets, work.group) as running:
                report = generator.run_generator(
                    {**work.options, **running.options, "sockets": work.sockets},
                    port=running.port, pids=running.pids,
                )  # fmt: skip
            runs[peer].append(work.figures(report))
            if report["faults"]:
                faulty.append({"peer": peer, "run": number, "faults": report["faults"]})
            first, value = next(iter(runs[peer][-1].items()))
            print(f"  {work.name} {peer} run {number + 1}: {first} {results.show(value)} "
                  f"{report['faults'] or ''}", flush=True)  # fmt: skip
    _add(work.name, work.text, runs, work.wanted, sections, raw, faulty)


def _measure_page(
    options: argparse.Namespace, sections: list[dict[str, Any]], raw: dict[str, Any]
) -> None:
    events = history.EVENTS // 10 if options.quick else history.EVENTS
    with history.room(events) as (port, token, room_id):
        runs = [
            history.measure(port, token, room_id, events=events, pages=500)
            for _ in range(options.runs)
        ]
    text = f"a page of 50 from a room of {events:,} events, over HTTP"
    _add("page", text, {"hubbub": runs}, history.WANTED, sections, raw)


def _measure_turn(
    options: argparse.Namespace, sections: list[dict[str, Any]], raw: dict[str, Any]
) -> None:
    turn.compile_load()
    for payload in turn.SIZES:
        runs, faulty = turn.compare(payload, options.runs, 2.0 if options.quick else 4.0)
        _add(f"turn {payload}", turn.TEXT.format(payload), runs, turn.WANTED, sections, raw, faulty)


def _measure_one_port(
    options: argparse.Namespace, sections: list[dict[str, Any]], raw: dict[str, Any]
) -> None:
    runs: dict[str, list[Figures]] = {}
    for _ in range(1 if options.quick else options.runs):
        for party, figures in one_port.measure().items():
            runs.setdefault(party, []).append(figures)
    _add("one_port", one_port.TEXT, runs, (), sections, raw)


def _measure_first_frame(
    options: argparse.Namespace, sections: list[dict[str, Any]], raw: dict[str, Any]
) -> None:
    """Shown is the median of the calls, not of runs."""
    calls = first_frame.CALLS_QUICK if options.quick else first_frame.CALLS
    try:
        first_frame.compile_sdk()
        for way in first_frame.WAYS:
            text = first_frame.TEXT.format(way, calls)
            runs = {"hubbub": first_frame.measure(way, calls)}
            _add(f"first_frame {way}", text, runs, first_frame.WANTED, sections, raw)
    except CannotRun as gone:
        if options.only:
            raise
        print(f"  left out: {gone}", flush=True)


def _measure_cluster(
    options: argparse.Namespace, sections: list[dict[str, Any]], raw: dict[str, Any]
) -> None:
    runs: dict[cluster.Run, list[Figures]] = {}
    faulty: list[dict[str, Any]] = []
    pages: dict[str, list[Figures]] = {}
    events = history.EVENTS // 10 if options.quick else history.EVENTS
    for name in options.shapes.split(","):
        try:
            with shapes.running(name) as shape:
                for run, figures, faults in cluster.measure(
                    shape, options.runs, window_s=3 if options.quick else 5
                ):
                    runs.setdefault(run, []).append(figures)
                    if faults:
                        faulty.append({"peer": run.name, "work": run.work, "faults": faults})
                    print(f"  {run.work} {run.name}: {results.show(figures['acked/s'])} acked/s "
                          f"{faults or ''}", flush=True)  # fmt: skip
                if name in cluster.AT_ONCE:
                    pages[name] = cluster.measure_pages(shape, events, options.runs)
        except CannotRun as gone:
            print(f"  left out: {gone}", flush=True)
    for work, text in cluster.TEXTS.items():
        of_work = {run: figures for run, figures in runs.items() if run.work == work}
        _add(f"cluster {work}", text, {run.name: figures for run, figures in of_work.items()}, (),
             sections, raw, [one for one in faulty if one["work"] == work])  # fmt: skip
        lines = [
            line for run, figures in of_work.items() for line in cluster.verdicts(run, figures)
        ]
        sections[-1]["lines"] += ["", *lines]
        print("\n".join(lines) + "\n", flush=True)
    if pages:
        text = f"a page of 50 from a room of {events:,} events, over HTTP, by store"
        _add("cluster page", text, pages, (), sections, raw)


def _add(
    name: str,
    text: str,
    runs: dict[str, list[Figures]],
    wanted: tuple[Wanted, ...],
    sections: list[dict[str, Any]],
    raw: dict[str, Any],
    faulty: list[dict[str, Any]] | None = None,
) -> None:
    medians: Medians = {peer: spread_of(figures) for peer, figures in runs.items() if figures}
    lines = results.table(medians)
    if "hubbub" in medians:
        lines += ["", *(f"- {verdict(one, medians)}" for one in wanted)]
    lines += [f"- Not as it must be: {fault}" for fault in faulty or ()]
    sections.append({"name": name, "text": text, "lines": lines})
    raw[name] = {
        "text": text, "runs": runs, "faulty": faulty or [],
        "wanted": [dataclasses.asdict(one) for one in wanted],
    }  # fmt: skip
    print(f"\n{name}: {text}\n" + "\n".join(lines) + "\n", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CannotRun as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(2)
