"""Acknowledged, durable sends through the whole server on each kind of store, and what they cost.

`spread`: 500 rooms of two, 64 messages in flight. `hot`: one room of two, 64 in flight. Hubs share
the first core and the generator has the second, as everywhere here; the stores' processes are not
pinned. `page`: history pages of 50 from a room of 1,000,000 events.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import generator, history, machine, results, seed, servers
from bench.generator import CannotRun
from bench.servers import HUBBUB, Running
from bench.shapes import Shape
from bench.works import Figures, Wanted

PEOPLE = 1000
IN_FLIGHT = 64
WORKS = {"spread": PEOPLE, "hot": 2}
"""Sockets of each."""

TEXTS = {
    "spread": "500 rooms of two, 64 messages in flight, by store and number of hubs",
    "hot": "one room of two, 64 messages in flight, by store and number of hubs",
}

PROCESSES = {"postgres": (1, 2, 4), "cassandra": (1, 2, 4)}
"""Hubs at once; other shapes have one."""

LEAST = {
    "postgres": {"spread": 4000, "hot": 8000},
    "cassandra": {"spread": 800, "hot": 5000},
    "cassandra 3": {"spread": 120, "hot": 2000},
}
"""Acknowledged a second (issue 4)."""

WARM_UP_S = {"sqlite": 2.0, "postgres": 3.0}
COLD_S = 8.0
"""Until the rooms of a run are known and, with Cassandra, the JVM has compiled what is hot."""

PAGES = 500
AT_ONCE = {"postgres": 500, "cassandra": 100}
FORKED_S = 20.0


@dataclass(frozen=True)
class Run:
    """`work` on `shape` by so many hubs."""

    shape: str
    work: str
    processes: int

    @property
    def name(self) -> str:
        return f"{self.shape}, {self.processes} hub{'s' if self.processes > 1 else ''}"

    def wanted(self) -> tuple[Wanted, ...]:
        least = LEAST.get(self.shape, {}).get(self.work)
        if least is None or self.processes > 1:
            return ()
        return (Wanted("acked/s", least, 2 * least),)


def verdicts(run: Run, figures: list[Figures]) -> list[str]:
    """A line for each figure that is wanted of this run."""
    medians = {"hubbub": results.spread_of(figures)}
    return [f"- {run.name}: {results.verdict(one, medians)}" for one in run.wanted()]


def measure(
    shape: Shape, runs: int, *, window_s: float
) -> Iterator[tuple[Run, Figures, dict[str, int]]]:
    """One tuple for each run: what, its figures, its faults. Hub counts take turns."""
    logins = _seed(shape)
    for _ in range(runs):
        for processes in PROCESSES.get(shape.name, (1,)):
            for work, sockets in WORKS.items():
                with _serving(shape, processes) as server:
                    before, used = _used(shape, server), machine.used_s()
                    began = time.monotonic()
                    report = generator.run_generator(
                        {
                            "work": "pairs", "inflight": IN_FLIGHT, "until": "ack",
                            "window": window_s, "sockets": sockets,
                            "warmup": WARM_UP_S.get(shape.name, COLD_S),
                            "dialect": "hubbub", "logins": logins[work],
                        },
                        port=server.port, pids=server.pids,
                    )  # fmt: skip
                    after, used = _used(shape, server), machine.used_s() - used
                    took_s = time.monotonic() - began
                run = Run(shape.name, work, processes)
                spent = {name: after[name] - before[name] for name in after}
                others = used - sum(spent.values()) - report["generator_share"] * took_s
                figures = {**_figures(report, spent), "others CPU %": 100 * others / took_s}
                yield run, figures, report["faults"]


def measure_pages(shape: Shape, events: int, runs: int) -> list[Figures]:
    """Of a room that is filled first, through the store."""
    at_once = AT_ONCE[shape.name]
    token, room_id = seed.seed_history(shape.config, events, first=2 * PEOPLE, at_once=at_once)
    with _serving(shape, 1) as server:
        return [
            history.measure(server.port, token, room_id, events=events, pages=PAGES)
            for _ in range(runs)
        ]


def _used(shape: Shape, server: Running) -> dict[str, float]:
    return {**shape.cpu_s(), "hub": sum(map(machine.cpu_s, server.pids))}


def _figures(report: dict[str, float], spent: dict[str, float]) -> Figures:
    """Of the stores, all from the first socket to the last answer: what was sent, and a little for
    the logins.
    """
    ack: dict[str, float] = report["ack_ms"]  # type: ignore[assignment]
    acked = max(report["window_acked"], 1)
    return {
        "acked/s": report["window_acked"] / report["wall_s"],
        "ack p50 ms": ack["p50"],
        "ack p99 ms": ack["p99"],
        "hub CPU us/message": 1e6 * report["server_cpu_s"] / acked,
        **{
            f"{name} CPU us/message": 1e6 * used / report["sent"]
            for name, used in spent.items()
            if name != "hub"
        },
        "generator CPU %": 100 * report["generator_share"],
    }


def _seed(shape: Shape) -> dict[str, Path]:
    place = Path(shape.config.server.data) if shape.name == "sqlite" else shape.config
    folder = Path(shape.config.server.data)
    logins = {}
    for number, (work, sockets) in enumerate(WORKS.items()):
        lines = seed.seed_people(place, sockets, 2, first=number * PEOPLE)
        logins[work] = folder.parent / f"logins-{work}"
        logins[work].write_text("\n".join(lines))
    return logins


@contextlib.contextmanager
def _serving(shape: Shape, processes: int) -> Iterator[Running]:
    port = machine.free_port()
    core, _ = machine.cores()
    command = [
        str(HUBBUB), "serve", "--host", "127.0.0.1", "--port", str(port), "--limits", "off",
        *(["--workers", str(processes)] if processes > 1 else ()),
    ]  # fmt: skip
    log = Path(shape.config.server.data).parent / "log"
    env = {**shape.environment(), "HUBBUB_SERVER__DRAIN_S": "0"}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*machine.on_core(core), *command], stdout=out, stderr=out, env=env
        )
        try:
            servers.wait_for_page(process, port, log)
            yield Running(port, _all_of(process.pid, processes), {})
        finally:
            process.terminate()
            try:
                process.wait(servers.STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                for pid in machine.family(process.pid)[1:]:
                    subprocess.run(["kill", "-9", str(pid)], check=False)
                process.kill()
                process.wait()


def _all_of(pid: int, processes: int) -> list[int]:
    """The server's processes, once all hubs are there and know one another."""
    if processes == 1:
        return machine.family(pid)
    limit = time.monotonic() + FORKED_S
    while len(machine.family(pid)) <= processes:
        if time.monotonic() > limit:
            raise CannotRun(f"{processes} hubs were not there within {FORKED_S} s")
        time.sleep(0.05)
    time.sleep(4)
    return machine.family(pid)
