"""The parent of the workers: starts them, restarts who dies, passes signals on, ends with them."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.cli import workers as workers_module
from server.cli.terms import Refused
from server.cli.workers import Parent, Place, hold_port, private_folder
from tests.support.worker_processes import Workers, alive, children, until, worker_processes

pytestmark = pytest.mark.slow


@pytest.fixture
def two() -> Iterator[Workers]:
    with worker_processes("--workers", "2") as running:
        yield running


def polls(url: str, sid: str = "") -> tuple[int, str]:
    query = "EIO=4&transport=polling" + (f"&sid={sid}" if sid else "")
    request = urllib.request.Request(f"{url}/engine.io/?{query}", headers={"Connection": "close"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def polls_once_taken(url: str, sid: str) -> tuple[int, str]:
    """The kernel may lay a dead process's listening socket down a moment after the process (its
    io_uring is ended later), and resets what came to it; clients try again.
    """
    for _ in range(20):
        try:
            return polls(url, sid)
        except ConnectionResetError:
            time.sleep(0.05)
    raise AssertionError("every connection was reset")


def opened_at(running: Workers, tag: str) -> str:
    """A session of the worker with this tag."""
    for _ in range(100):
        sid: str = json.loads(polls(running.url)[1][1:])["sid"]
        if sid.endswith(tag):
            return sid
    raise AssertionError("the kernel never chose that worker")


def test_workers_share_the_port_and_the_folder_is_theirs_alone(two: Workers) -> None:
    stats = two.stats(2)

    folder = two.process.folder / f"hubbub-{os.geteuid()}-{two.port}"
    doors = {path.name for path in folder.iterdir()}
    assert doors == {f"{one['tag']}.sock" for one in stats.values()}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert sorted(stats) == sorted(children(two.process.pid))


def test_a_worker_that_is_killed_is_replaced_and_its_sessions_are_unknown(two: Workers) -> None:
    before = two.stats(2)
    victim = next(iter(before))
    sid = opened_at(two, before[victim]["tag"])

    os.kill(victim, signal.SIGKILL)
    until(lambda: not alive(victim))
    status, text = polls_once_taken(two.url, sid)

    assert (status, json.loads(text)["code"]) == (400, 1)
    until(lambda: len(children(two.process.pid)) == 2)
    until(lambda: len(two.logged("worker.ready")) == 3)
    assert victim not in two.stats(2)
    assert [line["code"] for line in two.logged("worker.died")] == [-signal.SIGKILL]


def test_a_worker_that_keeps_dying_is_restarted_ever_later(two: Workers) -> None:
    for ready in (3, 4):
        os.kill(children(two.process.pid)[-1], signal.SIGKILL)
        until(lambda ready=ready: len(two.logged("worker.ready")) == ready)

    pauses = {line["worker"]: line["again_in_s"] for line in two.logged("worker.died")}
    assert max(pauses.values()) == 1.0 or sorted(pauses.values()) == [0.5, 0.5]


def test_a_frozen_worker_does_not_hold_up_the_others_for_long(two: Workers) -> None:
    stats = two.stats(2)
    frozen = next(iter(stats))
    other = next(one for pid, one in stats.items() if pid != frozen)
    sid, foreign = opened_at(two, other["tag"]), opened_at(two, stats[frozen]["tag"])
    with socket.create_connection(("127.0.0.1", two.port)) as kept:
        # A connection that is the living worker's: what goes over it lands there.
        ask = "GET /engine.io/?EIO=4&transport=polling&sid={} HTTP/1.1\r\nHost: x\r\n{}\r\n"
        post = ask.replace("GET", "POST").format(sid, "Content-Length: 2\r\n") + "4x"
        kept.sendall(post.encode())
        kept.recv(4096)
        os.kill(frozen, signal.SIGSTOP)
        began = time.monotonic()
        try:
            kept.sendall(ask.format(foreign, "").encode())
            kept.settimeout(5)
            told = kept.recv(4096)
        finally:
            os.kill(frozen, signal.SIGCONT)

    assert b" 400 " in told
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_in_peace_and_leaves_nothing(two: Workers, number: int) -> None:
    pids = children(two.process.pid)

    two.process.signal(number)
    code = two.process._process.wait(10)  # type: ignore[union-attr]

    assert code == 0
    assert not any(alive(pid) for pid in pids)
    assert not list(two.process.folder.glob("hubbub-*"))


def test_workers_end_when_their_parent_is_gone(two: Workers) -> None:
    pids = children(two.process.pid)

    two.process.kill()

    until(lambda: not any(alive(pid) for pid in pids))


def test_a_second_server_on_the_port_takes_the_sessions_of_the_first_seriously(
    two: Workers,
) -> None:
    """As in a rolling upgrade on one machine: old and new stand beside one another."""
    tags = {one["tag"] for one in two.stats(2).values()}
    sid = opened_at(two, next(iter(tags)))
    with worker_processes("--workers", "2", beside=two) as new:
        until(lambda: len(new.stats(4)) == 4)
        statuses = []
        for _ in range(20):
            request = urllib.request.Request(
                f"{new.url}/engine.io/?EIO=4&transport=polling&sid={sid}", b"4x",
                headers={"Connection": "close"},
            )  # fmt: skip
            with urllib.request.urlopen(request, timeout=5) as answer:
                statuses.append(answer.status)

        assert statuses == [200] * 20


def test_no_session_fails_to_open_while_the_workers_of_the_port_are_replaced(two: Workers) -> None:
    """The kernel resets a connection that comes in the instant between the last accept and the end
    of a listening socket: some 50 us for each worker. Nothing else may go wrong.
    """
    answers: Counter[str] = Counter()
    ended = threading.Event()

    def knock() -> None:
        while not ended.is_set():
            try:
                answers[str(polls(two.url)[0])] += 1
            except OSError as error:
                answers[type(getattr(error, "reason", error)).__name__] += 1

    knocking = [threading.Thread(target=knock) for _ in range(4)]
    for one in knocking:
        one.start()
    try:
        for _ in range(3):
            with worker_processes("--workers", "2", beside=two) as new:
                new.stats(4)
                new.process.stop()
    finally:
        ended.set()
        for one in knocking:
            one.join()

    assert answers.pop("ConnectionResetError", 0) <= 1
    assert set(answers) == {"200"}


# ---- without a server inside -------------------------------------------------------------------


def run_parent(folder: Path, work, *, count: int = 2, drain_s: float = 0.1) -> tuple[int, list]:
    """In a process of its own: the parent takes the signals of its process."""
    told: list[list[str]] = []
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            os.close(reading)

            def started(lines: list[str]) -> None:
                os.write(writing, json.dumps(lines).encode() + b"\n")

            code = Parent(count, folder, work=work, started=started, drain_s=drain_s).run()
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as lines:
        told = [json.loads(line) for line in lines]
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), told


def test_a_first_worker_that_cannot_start_ends_the_whole_with_its_code_told(tmp_path: Path) -> None:
    (folder := tmp_path / "w").mkdir()

    def work(place: Place) -> int:
        (tmp_path / f"ran-{place.number}").touch()
        return 3

    assert run_parent(folder, work) == (1, [])
    assert [path.name for path in tmp_path.glob("ran-*")] == ["ran-1"]


def test_the_others_start_once_the_first_is_ready_and_its_lines_are_told(tmp_path: Path) -> None:
    (folder := tmp_path / "w").mkdir()

    def work(place: Place) -> int:
        time.sleep(0.1 if place.number == 1 else 0)
        (tmp_path / str(place.number)).write_text(str(time.monotonic()))
        place.ready(f"worker {place.number}", "second line")
        if place.number == 3:
            os.kill(os.getppid(), signal.SIGTERM)
        time.sleep(30)
        return 0

    code, told = run_parent(folder, work, count=3)

    assert told in ([["worker 1", "second line"]], [])
    assert code == 1, "they do not drain: the signal's default ends them"
    assert float((tmp_path / "1").read_text()) < float((tmp_path / "2").read_text())


def test_a_worker_that_does_not_end_is_killed(tmp_path: Path, monkeypatch) -> None:
    (folder := tmp_path / "w").mkdir()
    monkeypatch.setattr(workers_module, "LINGER_S", 0.3)

    def work(place: Place) -> int:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        place.ready()
        os.kill(os.getppid(), signal.SIGTERM)
        time.sleep(30)
        return 0

    began = time.monotonic()
    code, _ = run_parent(folder, work, count=1)

    assert code == 1
    assert time.monotonic() - began < 5


def test_a_second_signal_reaches_the_workers_too(tmp_path: Path) -> None:
    (folder := tmp_path / "w").mkdir()

    def work(place: Place) -> int:
        heard: list[int] = []
        signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
        place.ready()
        while len(heard) < 2:
            os.kill(os.getppid(), signal.SIGTERM)
            time.sleep(0.1)
        return 7

    began = time.monotonic()
    code, _ = run_parent(folder, work, count=1)

    assert code == 1
    assert time.monotonic() - began < 5


def test_a_port_is_held_for_workers_and_refused_to_others() -> None:
    held = hold_port("127.0.0.1", 0)
    port = held[0].getsockname()[1]

    with socket.socket() as other, pytest.raises(OSError):
        other.bind(("127.0.0.1", port))
    shared = hold_port("127.0.0.1", port)

    for one in (*held, *shared):
        one.close()


def test_a_folder_that_others_could_enter_is_not_used(tmp_path: Path, monkeypatch) -> None:
    for place in ("one", "two"):
        (tmp_path / place / f"hubbub-{os.geteuid()}-7").mkdir(parents=True)
        (tmp_path / place / f"hubbub-{os.geteuid()}-7").chmod(0o755)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "one"))
    monkeypatch.setattr(workers_module.tempfile, "gettempdir", lambda: str(tmp_path / "two"))
    monkeypatch.setattr(workers_module, "LONGEST_PATH", 200)
    monkeypatch.setattr(workers_module, "LAST_RESORT", str(tmp_path / "two"))

    with pytest.raises(Refused, match="XDG_RUNTIME_DIR"):
        private_folder(7)
