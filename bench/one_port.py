"""What the shared port costs: telling packets apart, ICE checks, DTLS handshakes, media.

CPU time of this thread, so that a busy machine matters less. `python -m bench.one_port` alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from statistics import median

import aioice.stun

from bench.works import Figures
from media.dtls.certificate import Certificate, new_certificate
from media.dtls.context import AEAD_AES_128_GCM, AES_128_CM_SHA1_80, SrtpProfile, new_context
from media.dtls.endpoint import Endpoint, Transmit
from media.ice.checks import Credentials
from media.ice.lite import Lite
from media.srtp import Srtp
from media.wire.attributes import ICE_CONTROLLING, PRIORITY, USE_CANDIDATE, USERNAME
from media.wire.demux import kind_of
from media.wire.stun import BINDING, REQUEST, build

ROUNDS = 5
TEXT = (
    "the shared port, for each second of CPU: ICE checks beside aioice's codec, handshakes, media"
)
CHECKS = "ICE checks answered"
OURS, THEIRS = Credentials("ourname1", "o" * 24), Credentials("peer", "p" * 24)
HOME = (1, ("192.0.2.1", 5000))


def each_us(step: Callable[[], object], times: int) -> float:
    """Median of some rounds, microseconds of CPU for each."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        for _ in range(times):
            step()
        rounds.append((time.thread_time() - began) / times * 1e6)
    return median(rounds)


def check() -> bytes:
    return build(
        BINDING | REQUEST,
        b"0123456789ab",
        (
            (USERNAME, f"{OURS.ufrag}:{THEIRS.ufrag}".encode()),
            (PRIORITY, bytes(4)),
            (ICE_CONTROLLING, bytes(8)),
            (USE_CANDIDATE, b""),
        ),
        key=OURS.password.encode(),
        fingerprint=True,
    )


def ice_us() -> float:
    agent, data = Lite(), check()
    agent.open("call", OURS, THEIRS, 0.0)
    return each_us(lambda: agent.handle(data, HOME, 1.0), 2_000)


def aioice_us() -> float:
    """The same by aioice's codec: parsed with its integrity, answered."""
    data, key = check(), OURS.password.encode()

    def step() -> bytes:
        message = aioice.stun.parse_message(data)
        assert message.check_message_integrity(key)
        answer = aioice.stun.Message(
            message_method=aioice.stun.Method.BINDING,
            message_class=aioice.stun.Class.RESPONSE,
            transaction_id=message.transaction_id,
        )
        answer.attributes["XOR-MAPPED-ADDRESS"] = HOME[1]
        answer.add_message_integrity(key)
        return bytes(answer)

    return each_us(step, 1_000)


def demultiplex_us() -> float:
    packets = [bytes([first]) + bytes(40) for first in range(256)]
    return each_us(lambda: [kind_of(packet) for packet in packets], 500) / 256


def handshakes(times: int, *, shared: bool) -> tuple[float, float]:
    """Milliseconds of the server's end, and of both."""
    server_end, both = [], []
    certificate = new_certificate()
    client, server = new_context(new_certificate()), new_context(certificate)
    for _ in range(times):
        began = time.thread_time()
        spent = _handshake(client, server if shared else None, certificate)
        both.append((time.thread_time() - began) * 1e3)
        server_end.append(spent * 1e3)
    return median(server_end), median(both)


def _handshake(client_context: object, server_context: object, certificate: Certificate) -> float:
    spent, began = 0.0, time.thread_time()
    server = Endpoint(server_context or new_context(certificate), "server", 0.0)
    spent += time.thread_time() - began
    client = Endpoint(client_context, "client", 0.0)
    waiting = client.start(0.0)
    while not (server.established and client.established):
        began = time.thread_time()
        back = [out for one in datagrams(waiting) for out in server.handle(one, 0.0)]
        spent += time.thread_time() - began
        waiting = [out for one in datagrams(back) for out in client.handle(one, 0.0)]
    return spent


def datagrams(outputs: list[object]) -> list[bytes]:
    return [one.datagram for one in outputs if isinstance(one, Transmit)]


def srtp_us(profile: SrtpProfile, size: int) -> float:
    """Opened and protected again: what an echo or a forwarded packet costs."""
    one, other = os.urandom(30), os.urandom(30)
    alice = Srtp(profile, send_key=one, receive_key=other)
    server = Srtp(profile, send_key=other, receive_key=one)
    times, payload = 2_000, bytes(size)
    packets = [
        alice.protected(
            b"\x80\x60" + (number & 0xFFFF).to_bytes(2, "big") + bytes(4) + b"ssrc" + payload
        )
        for number in range(times * ROUNDS)
    ]
    following = iter(packets)
    return each_us(lambda: server.protected(server.opened(next(following)) or b""), times)


def measure() -> dict[str, Figures]:
    """One run, by party."""
    server_ms, both_ms = handshakes(150, shared=True)
    alone_ms, _ = handshakes(80, shared=False)
    figures = {
        CHECKS: 1e6 / ice_us(),
        "DTLS handshakes, server's end": 1e3 / server_ms,
        "the same with a new context each": 1e3 / alone_ms,
        "DTLS handshakes, both ends": 1e3 / both_ms,
        "packets told apart": 1e6 / demultiplex_us(),
    }
    for profile in (AEAD_AES_128_GCM, AES_128_CM_SHA1_80):
        for size in (160, 1_100):
            name = f"{profile.name}, opened and protected, {size} bytes"
            figures[name] = 1e6 / srtp_us(profile, size)
    return {"hubbub": figures, "aioice": {CHECKS: 1e6 / aioice_us()}}


def main() -> None:
    for party, figures in measure().items():
        for name, each_s in figures.items():
            print(f"{party:8} {name:60} {each_s:12,.0f} for each second of CPU")


if __name__ == "__main__":
    main()
