"""A stranger with many addresses who floods a UDP port, as a program of its own.

`python -m tests.calls_faults.flood HOST PORT --seconds 5 --rate 20000`: STUN and TURN without a
credential, DTLS ClientHellos, media, ChannelData and noise. The last line is what came of it, in
JSON: `sent`, `seconds` (that it took), `answers` (in all), `most_answers` (to one address),
`longest_answer` (bytes).
"""

from __future__ import annotations

import argparse
import json
import random
import select
import socket
import sys
import time
from collections import Counter

from media.dtls.certificate import new_certificate
from media.dtls.context import new_context
from media.dtls.endpoint import Endpoint, Transmit
from media.wire.attributes import REQUESTED_TRANSPORT, USERNAME
from media.wire.stun import ALLOCATE, BINDING, build

ADDRESSES = 40
BURST_S = 0.005
LATE_S = 4 * BURST_S
"""Whoever was kept from sending for longer leaves the rest for later."""
LONGEST = 3


def samples(chance: random.Random) -> list[bytes]:
    hello = Endpoint(new_context(new_certificate()), "client", 0.0).start(0.0)
    name = (USERNAME, b"nobody:nothing")
    made = [out.datagram for out in hello if isinstance(out, Transmit)] * 40
    for _ in range(40):
        made += [
            build(BINDING, chance.randbytes(12)),
            build(BINDING, chance.randbytes(12), [name], key=b"guess", fingerprint=True),
            build(ALLOCATE, chance.randbytes(12), [(REQUESTED_TRANSPORT, b"\x11\0\0\0")]),
            build(ALLOCATE, chance.randbytes(12), [name], key=b"guess"),
            b"\x80\x6f" + chance.randbytes(chance.randrange(10, 1_000)),
            b"\x40\x01" + chance.randbytes(chance.randrange(10, 1_000)),
            chance.randbytes(chance.randrange(1, 1_200)),
        ]
    return made


class Stranger:
    def __init__(self, target: tuple[str, int], chance: random.Random) -> None:
        self._target = target
        self._chance = chance
        self._samples = samples(chance)
        self._sockets = [self._socket(f"127.9.0.{n + 1}") for n in range(ADDRESSES)]
        self.sent = self.longest = 0
        self.answers: Counter[int] = Counter()
        """By address."""
        self.seconds = 0.0

    def _socket(self, host: str) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((host, 0))
        made.setblocking(False)
        return made

    def run(self, seconds: float, rate: int) -> None:
        """At `rate`, for so long or longer: what a busy machine kept it from sending comes later,
        and in no burst.
        """
        began = last = time.monotonic()
        budget = 0.0
        while self.sent < seconds * rate and last - began < LONGEST * seconds:
            now = time.monotonic()
            budget += min(now - last, LATE_S) * rate
            last = now
            while budget >= 1:
                budget -= 1
                self._send()
            self._hear()
            time.sleep(BURST_S)
        time.sleep(0.2)
        self._hear()
        self.seconds = time.monotonic() - began

    def _send(self) -> None:
        self.sent += 1
        try:
            one = self._chance.choice(self._sockets)
            one.sendto(self._chance.choice(self._samples), self._target)
        except BlockingIOError:
            return

    def _hear(self) -> None:
        for one in select.select(self._sockets, [], [], 0)[0]:
            try:
                while True:
                    self.longest = max(self.longest, len(one.recv(2_048)))
                    self.answers[self._sockets.index(one)] += 1
            except OSError:
                continue


def main() -> None:
    options = argparse.ArgumentParser(prog="tests.calls_faults.flood")
    options.add_argument("host")
    options.add_argument("port", type=int)
    options.add_argument("--seconds", type=float, default=5.0)
    options.add_argument("--rate", type=int, default=20_000)
    options.add_argument("--seed", type=int, default=20261121)
    chosen = options.parse_args()
    stranger = Stranger((chosen.host, chosen.port), random.Random(chosen.seed))
    stranger.run(chosen.seconds, chosen.rate)
    told = {
        "sent": stranger.sent, "seconds": stranger.seconds, "answers": stranger.answers.total(),
        "most_answers": max(stranger.answers.values(), default=0),
        "longest_answer": stranger.longest,
    }  # fmt: skip
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
