"""`hubbub serve` on an empty folder, from its start to the first page served."""

from __future__ import annotations

import time

from bench import machine, servers
from bench.works import Figures, Wanted

WANTED = (Wanted("first page s", 2, 1, lower_is_better=True),)


def measure() -> Figures:
    with servers.data_folder() as folder:
        port = machine.free_port()
        began = time.perf_counter()
        with servers.started(
            servers.hubbub_command(folder / "data", port), port, folder / "log"
        ) as process:
            waited = time.perf_counter() - began
            return {"first page s": waited, "resident KiB": float(machine.rss_kib(process.pid))}
