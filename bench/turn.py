"""TURN's relay path beside coturn's: `python -m bench.turn`.

Ten allocations, each with a channel to a peer that sends everything back; every packet that comes
back was relayed twice. Both servers run by turns on the same core, the load on another; what counts
is packets for each second of the server's CPU time, in runs that lose less than one in a thousand.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import machine
from bench.generator import BUILD, FLAGS, HERE, CannotRun
from bench.results import spread_of, verdict
from bench.works import Figures, Wanted
from media.wire import attributes as a
from media.wire.addresses import encode_xor
from media.wire.stun import ALLOCATE, BINDING, CHANNEL_BIND, Malformed, Message, build, parse

HOST, USER, PASSWORD, REALM = "127.0.0.1", "bench", "bench-password", "bench"
PROGRAM = BUILD / "turn_load"
CLIENTS = 10
WINDOW = 8
"""Packets of a client on their way: 80 in all fit into coturn's socket buffers, also long ones."""
SIZES = (160, 1_100)
LOSS = 0.001
FIGURE = "packets per CPU second"
WANTED = (Wanted(FIGURE, 0.5, 0.8, of="coturn"),)
"""The aim is what a drained socket in Python was seen to reach; a native plane aims at 1.2."""
TEXT = "TURN ChannelData of {} bytes relayed, 10 allocations, closed loop"
SERVERS = ("hubbub", "coturn")


def compile_load() -> None:
    """Raises CannotRun: no compiler, or it refuses."""
    compiler = shutil.which("gcc") or shutil.which("cc") or shutil.which("clang")
    if compiler is None:
        raise CannotRun("The load needs a C compiler (Debian: apt install gcc libc6-dev).")
    BUILD.mkdir(exist_ok=True)
    line = [compiler, *FLAGS, "-o", str(PROGRAM), str(HERE / "turn_load.c")]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CannotRun(f"The load does not compile:\n{done.stderr}")


@contextlib.contextmanager
def serving(server: str) -> Iterator[tuple[int, int]]:
    """Port and process id of a fresh server on its core."""
    core, _ = machine.cores()
    port = machine.free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = coturn(port, Path(folder)) if server == "coturn" else ours(port)
        process = subprocess.Popen(
            [*machine.on_core(core), *command], cwd=HERE.parent,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wait_for(port, process)
            yield port, process.pid
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def ours(port: int) -> list[str]:
    return [sys.executable, "-m", "bench.turn", "--serve", str(port)]


def coturn(port: int, folder: Path) -> list[str]:
    program = shutil.which("turnserver")
    if program is None:
        raise CannotRun("coturn is missing (Debian: apt install coturn)")
    return [
        program, "-n", "--no-cli", "--no-tls", "--no-dtls", "--no-tcp", "--relay-threads", "1",
        "-L", HOST, "-E", HOST, "-p", str(port), "-a", "-u", f"{USER}:{PASSWORD}", "-r", REALM,
        "--allow-loopback-peers", "--no-stdout-log", "--log-file", "/dev/null",
        "--userdb", str(folder / "db"), "--pidfile", str(folder / "pid"),
    ]  # fmt: skip


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + 15
    with connected(port) as client:
        client.settimeout(0.2)
        while time.monotonic() < give_up and process.poll() is None:
            with contextlib.suppress(OSError):
                client.send(build(BINDING, bytes(12)))
                client.recv(500)
                return
            time.sleep(0.1)
    raise CannotRun(f"the server did not start (exit code {process.poll()})")


@contextlib.contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.connect((HOST, port))
        yield client


class Client:
    """One allocation with a channel, made with blocking calls before the load begins."""

    def __init__(self, client: socket.socket, peer_port: int) -> None:
        self._socket = client
        challenge = self._ask(build(ALLOCATE, transaction(), [TRANSPORT]))
        self._realm, self._nonce = challenge.attributes[a.REALM], challenge.attributes[a.NONCE]
        self._signed(ALLOCATE, transaction(), TRANSPORT)
        number = transaction()
        self._signed(
            CHANNEL_BIND, number, (a.CHANNEL_NUMBER, b"\x40\0\0\0"),
            (a.XOR_PEER_ADDRESS, encode_xor((HOST, peer_port), number)),
        )  # fmt: skip

    def _signed(self, method: int, number: bytes, *attributes: tuple[int, bytes]) -> None:
        key = a.long_term_key(a.MD5, username=USER, realm=self._realm.decode(), password=PASSWORD)
        proof = [(a.USERNAME, USER.encode()), (a.REALM, self._realm), (a.NONCE, self._nonce)]
        answer = self._ask(build(method, number, [*attributes, *proof], key=key))
        if a.ERROR_CODE in answer.attributes:
            raise CannotRun(f"refused: {answer.attributes[a.ERROR_CODE][4:].decode()}")

    def _ask(self, request: bytes) -> Message:
        self._socket.send(request)
        answer = parse(self._socket.recv(2_000))
        if isinstance(answer, Malformed):
            raise CannotRun(f"an answer that is no STUN message: {answer.reason}")
        return answer


TRANSPORT = (a.REQUESTED_TRANSPORT, b"\x11\0\0\0")


def transaction() -> bytes:
    return random.randbytes(12)


def measure(server: str, payload: int, seconds: float) -> Figures:
    _, core = machine.cores()
    with serving(server) as (port, pid), contextlib.ExitStack() as stack:
        peer = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        peer.bind((HOST, 0))
        clients = [stack.enter_context(connected(port)) for _ in range(CLIENTS)]
        for client in clients:
            Client(client, peer.getsockname()[1])
        fds = [peer.fileno(), *(client.fileno() for client in clients)]
        run_load(core, fds, payload, 0.5)
        before, began = machine.cpu_s(pid), time.perf_counter()
        report = run_load(core, fds, payload, seconds)
        cpu_s, took_s = machine.cpu_s(pid) - before, time.perf_counter() - began
    packets = 2 * report["returned"]
    return {
        FIGURE: packets / max(cpu_s, 0.01),
        "packets per second": packets / took_s,
        "loss": 1 - report["returned"] / max(1, report["sent"]),
    }


def run_load(core: int, fds: list[int], payload: int, seconds: float) -> dict[str, int]:
    numbers = map(str, (seconds, payload, WINDOW, *fds))
    done = subprocess.run(
        [*machine.on_core(core), str(PROGRAM), *numbers], pass_fds=fds, capture_output=True,
        text=True, check=True, timeout=seconds + 20,
    )  # fmt: skip
    report: dict[str, int] = json.loads(done.stdout)
    return report


def compare(
    payload: int, runs: int, seconds: float
) -> tuple[dict[str, list[Figures]], list[dict[str, Any]]]:
    """The runs of each server, by turns, and what was not as it must be. Without coturn on this
    machine ours stands alone.
    """
    servers = SERVERS if shutil.which("turnserver") else SERVERS[:1]
    found: dict[str, list[Figures]] = {server: [] for server in servers}
    faulty: list[dict[str, Any]] = []
    for number in range(runs):
        for server in servers:
            one = measure(server, payload, seconds)
            print(f"  turn {payload} {server} run {number + 1}: {one[FIGURE]:,.0f} {FIGURE}, "
                  f"loss {one['loss']:.3%}", flush=True)  # fmt: skip
            found[server].append(one)
            if one["loss"] >= LOSS:
                faulty.append({"peer": server, "run": number, "faults": {"loss": one["loss"]}})
    return found, faulty


async def serve(port: int) -> None:
    """Our server alone, without the quotas that the load would meet."""
    from media.planes.listeners import listen_datagrams
    from media.planes.turn import TurnPlane
    from media.turn.settings import RelayHost, TurnSettings
    from server.kernel.logs import Secret

    settings = TurnSettings(
        relays=(RelayHost(HOST, HOST),), realm=REALM, users={USER: Secret(PASSWORD)},
        allowed_peers=("127.0.0.0/8",), user_bps=0, stranger_per_s=1_000,
    )  # fmt: skip
    listen_datagrams(TurnPlane(settings), HOST, port)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.turn", description=__doc__)
    parser.add_argument("--serve", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    if not options.serve:
        compile_load()
        for payload in SIZES:
            found, _ = compare(payload, options.runs, options.seconds)
            print(verdict(WANTED[0], {server: spread_of(runs) for server, runs in found.items()}))
        return
    import uvloop

    with (
        contextlib.suppress(KeyboardInterrupt),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(serve(options.serve))


if __name__ == "__main__":
    main()
