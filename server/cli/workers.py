"""The parent of the workers that share one port: starts them, restarts who dies, ends with them.

It is a plain process without an event loop that forks: its children share the memory of the code.
The first worker starts alone: it brings the stores to this version, and what is wrong is told once.
"""

from __future__ import annotations

import contextlib
import gc
import os
import selectors
import signal
import socket
import stat
import tempfile
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from server.cli.terms import Refused
from server.hub.transport.handover import sweep
from server.kernel.logs import get_logger

log = get_logger(__name__)

START_S = 60.0
"""A worker that is not ready by then is ended: stores answer, or give up, within seconds."""
LINGER_S = 20.0
"""Besides the drain's own time: HTTP requests that end, stores that are flushed."""
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
WELL_AFTER_S = 60.0
"""A worker that lived so long starts again without a pause counted from earlier deaths."""
LONGEST_PATH = 90
"""A Unix socket's path has 107 bytes, of which its name takes 14."""
LAST_RESORT = "/tmp"
"""Where TMPDIR is too long a path."""
PASSED_ON = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class Place:
    """What a worker is told: its number (from 1), where to find the others, pipes to the parent."""

    number: int
    folder: Path
    lifeline: int
    """Reads as ended once the parent is gone."""
    _report: int

    def ready(self, *lines: str) -> None:
        """Once: it listens. The lines of worker 1 are printed."""
        with contextlib.suppress(BrokenPipeError):  # the parent is gone: the lifeline says so too
            os.write(self._report, "".join(f"{line}\n" for line in lines).encode() + b"\n")
        os.close(self._report)


@dataclass(slots=True)
class Worker:
    number: int
    pid: int = 0
    """0: it does not run."""
    born_at: float = 0.0
    report: int = -1
    told: bytes = b""
    ready: bool = False
    pause_s: float = FIRST_PAUSE_S
    start_at: float | None = None


class Parent:
    """`run` returns the exit code: 0 when a signal ended it and every worker went in peace.

    Args:
        work: a worker's life, in its own process; returns its exit code.
        started: gets the lines of worker 1 when all are ready.
    """

    def __init__(
        self,
        count: int,
        folder: Path,
        *,
        work: Callable[[Place], int],
        started: Callable[[list[str]], None],
        drain_s: float,
    ) -> None:
        self._folder = folder
        self._work = work
        self._started = started
        self._drain_s = drain_s
        self._workers = [Worker(number) for number in range(1, count + 1)]
        self._signals: deque[int] = deque()
        self._up = False
        self._kill_at: float | None = None
        self._code = 0

    def run(self) -> int:
        self._lifeline, self._alive = os.pipe()
        self._waker = selectors.DefaultSelector()
        self._ears = socket.socketpair()
        self._listen_to_signals()
        gc.freeze()
        self._workers[0].start_at = 0.0
        try:
            while self._kill_at is None or any(worker.pid for worker in self._workers):
                self._turn()
        finally:
            os.close(self._alive)
            sweep(self._folder)
        return self._code

    def _turn(self) -> None:
        self._waker.select(self._wait_s())
        self._hear()
        self._read_reports()
        self._reap()
        now = time.monotonic()
        for worker in self._workers:
            if worker.start_at is not None and worker.start_at <= now and self._kill_at is None:
                self._start(worker)
            elif worker.pid and not worker.ready and now > worker.born_at + START_S:
                log.warning("worker.late", worker=worker.number, pid=worker.pid)
                os.kill(worker.pid, signal.SIGKILL)
        if self._kill_at is not None and now >= self._kill_at:
            self._pass_on(signal.SIGKILL)

    def _wait_s(self) -> float:
        due = [worker.start_at for worker in self._workers if worker.start_at is not None]
        if self._kill_at is not None:
            due = [self._kill_at]
        return min(1.0, max(0.0, min(due, default=1e9) - time.monotonic()))

    # ---- signals ---------------------------------------------------------------------------------

    def _listen_to_signals(self) -> None:
        ear, mouth = self._ears
        ear.setblocking(False)
        mouth.setblocking(False)
        self._waker.register(ear, selectors.EVENT_READ)
        signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        for number in PASSED_ON:
            signal.signal(number, lambda number, frame: self._signals.append(number))

    def _hear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._ears[0].recv(4096)
        while self._signals:
            self._end(self._signals.popleft())

    def _end(self, number: int = signal.SIGTERM) -> None:
        if self._kill_at is None:
            self._kill_at = time.monotonic() + self._drain_s + LINGER_S
        self._pass_on(number)

    def _pass_on(self, number: int) -> None:
        for worker in self._workers:
            if worker.pid:
                os.kill(worker.pid, number)

    # ---- lives -----------------------------------------------------------------------------------

    def _start(self, worker: Worker) -> None:
        report, write = os.pipe()
        place = Place(worker.number, self._folder, self._lifeline, write)
        masked = signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
        pid = os.fork()
        if pid == 0:
            self._live(place, report)
        signal.pthread_sigmask(signal.SIG_SETMASK, masked)
        os.close(write)
        os.set_blocking(report, False)
        self._waker.register(report, selectors.EVENT_READ)
        worker.pid, worker.report, worker.told = pid, report, b""
        worker.born_at, worker.ready, worker.start_at = time.monotonic(), False, None

    def _live(self, place: Place, report: int) -> None:
        """In the child; does not return. In a process group of its own, so that Ctrl-C in a
        terminal comes from the parent alone: a second signal would end it at once.
        """
        code = 1
        try:
            os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, *PASSED_ON):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
            self._waker.close()
            for end in self._ears:
                end.close()
            for descriptor in (report, self._alive, *(other.report for other in self._workers)):
                if descriptor >= 0:
                    os.close(descriptor)
            code = self._work(place)
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(code)

    def _read_reports(self) -> None:
        for worker in self._workers:
            if worker.report < 0:
                continue
            try:
                data = os.read(worker.report, 65_536)
            except BlockingIOError:
                continue
            worker.told += data
            if not data:
                self._waker.unregister(worker.report)
                os.close(worker.report)
                worker.report = -1
                worker.ready = worker.told.endswith(b"\n\n") or worker.told == b"\n"
                if worker.ready:
                    self._is_ready(worker)

    def _is_ready(self, worker: Worker) -> None:
        log.info("worker.ready", worker=worker.number, pid=worker.pid)
        if self._up:
            return
        if worker.number == 1:
            for other in self._workers[1:]:
                other.start_at = 0.0
        if all(each.ready for each in self._workers):
            self._up = True
            self._started(self._workers[0].told.decode().strip("\n").split("\n"))

    def _reap(self) -> None:
        for worker in self._workers:
            if not worker.pid:
                continue
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if pid:
                self._read_reports()
                self._ended(worker, os.waitstatus_to_exitcode(status))

    def _ended(self, worker: Worker, code: int) -> None:
        pid, worker.pid = worker.pid, 0
        if self._kill_at is not None:
            unborn = not worker.ready and code in (-signal.SIGTERM, -signal.SIGINT)
            self._code = self._code or int(code != 0 and not unborn)
        elif not self._up and not worker.ready:
            self._code = 1
            self._end()
        else:
            self._plan_restart(worker, pid, code)

    def _plan_restart(self, worker: Worker, pid: int, code: int) -> None:
        now = time.monotonic()
        if now - worker.born_at > WELL_AFTER_S:
            worker.pause_s = FIRST_PAUSE_S
        worker.start_at = now + worker.pause_s
        log.warning(
            "worker.died", worker=worker.number, pid=pid, code=code, again_in_s=worker.pause_s
        )
        worker.pause_s = min(LONGEST_PAUSE_S, 2 * worker.pause_s)


def hold_port(host: str, port: int) -> list[socket.socket]:
    """Bind the address without listening, shared: what a worker binds later cannot be taken by
    another program in the meantime. Port 0 takes a free one. Raises OSError.
    """
    held: list[socket.socket] = []
    try:
        for family, kind, proto, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            one = socket.socket(family, kind, proto)
            held.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind((address[0], port, *address[2:]))
            port = one.getsockname()[1]
    except OSError:
        for one in held:
            one.close()
        raise
    return held


def private_folder(port: int) -> Path:
    """Where the workers of this port find one another; also those of the server that follows on
    this one, started beside it before it ends. Raises Refused.
    """
    name = f"hubbub-{os.geteuid()}-{port}"
    for parent in (os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir(), LAST_RESORT):
        folder = Path(parent) / name
        if parent and len(str(folder)) <= LONGEST_PATH and _is_private(folder):
            return folder
    raise Refused(
        f"No folder {name} of this user alone can be had in {tempfile.gettempdir()}: "
        "set XDG_RUNTIME_DIR to a folder that belongs to this user."
    )


def _is_private(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError:
        return False
    mine = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    return mine and not status.st_mode & 0o077
