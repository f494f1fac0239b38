"""DTLS ends against each other and against aiortc's, over datagrams that a test carries."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from media.dtls.certificate import Certificate, fingerprint_of, is_promised, new_certificate
from media.dtls.context import AES_128_CM_SHA1_80, PROFILES, SrtpProfile, new_context
from media.dtls.endpoint import (
    HANDSHAKE_S,
    MTU,
    Closed,
    Endpoint,
    Established,
    Output,
    Received,
    Transmit,
)
from media.dtls.records import HEADER_BYTES, pack, split
from media.srtp import PACKET_BYTES, Srtp
from tests.support.one_port import rtp

OURS, THEIRS = new_certificate(), new_certificate()


class Pair:
    """A client and a server; `pass_on` decides what becomes of a datagram on its way."""

    def __init__(
        self,
        *,
        profiles: tuple[SrtpProfile, ...] = PROFILES,
        certificate: Certificate = THEIRS,
        pass_on: Callable[[bytes], list[bytes]] = lambda datagram: [datagram],
    ) -> None:
        self.client = Endpoint(new_context(certificate, profiles), "client", 0.0)
        self.server = Endpoint(new_context(OURS), "server", 0.0)
        self.results: dict[Endpoint, list[Output]] = {self.client: [], self.server: []}
        self.sizes: list[int] = []
        self._pass_on = pass_on

    def run(self) -> None:
        self.carry(self.client, self.client.start(0.0))

    def carry(self, source: Endpoint, outputs: list[Output]) -> None:
        waiting = [(source, outputs)]
        while waiting:
            source, outputs = waiting.pop(0)
            target = self.server if source is self.client else self.client
            for output in outputs:
                if not isinstance(output, Transmit):
                    self.results[source].append(output)
                    continue
                self.sizes.append(len(output.datagram))
                waiting += [
                    (target, target.handle(datagram, 0.0))
                    for datagram in self._pass_on(output.datagram)
                ]

    def established(self, end: Endpoint) -> Established:
        (found,) = [one for one in self.results[end] if isinstance(one, Established)]
        return found


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_both_ends_export_the_same_keys_crosswise(profile: SrtpProfile) -> None:
    pair = Pair(profiles=(profile,))

    pair.run()

    client, server = pair.established(pair.client), pair.established(pair.server)
    assert client.profile == server.profile == profile
    assert client.send_key == server.receive_key
    assert client.receive_key == server.send_key
    assert len(client.send_key) == profile.key_bytes + profile.salt_bytes
    assert client.certificate == OURS.certificate
    assert server.certificate == THEIRS.certificate


def test_flights_are_cut_at_records_into_datagrams_that_fit() -> None:
    pair = Pair()

    pair.run()

    assert max(pair.sizes) <= MTU
    assert len(pair.sizes) < 8


def test_records_that_come_one_by_one_and_twice_do_as_well() -> None:
    pair = Pair(pass_on=lambda datagram: (split(datagram) or []) * 2)

    pair.run()

    assert pair.established(pair.client).send_key == pair.established(pair.server).receive_key


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1()], ids=["p256", "p384"])
def test_certificates_of_other_curves_are_taken(curve: ec.EllipticCurve) -> None:
    pair = Pair(certificate=new_certificate(curve=curve))

    pair.run()

    assert pair.server.established


def test_messages_pass_after_the_handshake_and_an_end_is_told() -> None:
    pair = Pair()
    pair.run()

    pair.carry(pair.client, pair.client.send(bytes(1_000)))
    pair.carry(pair.client, pair.client.close())

    assert pair.results[pair.server][1:] == [Received(bytes(1_000)), Closed("peer")]
    assert pair.client.send(b"late") == []


def test_a_handshake_that_nobody_answers_is_given_up() -> None:
    end = Endpoint(new_context(OURS), "server", 0.0)

    assert end.next_deadline() == HANDSHAKE_S
    assert end.tick(HANDSHAKE_S) == [Closed("timeout")]
    assert end.next_deadline() is None


def test_no_common_profile_leaves_no_keys_but_data() -> None:
    pair = Pair()
    pair.client = Endpoint(_without_srtp(), "client", 0.0)
    pair.results[pair.client] = []

    pair.run()

    assert pair.established(pair.server).profile is None


def _without_srtp() -> object:
    from OpenSSL import SSL

    context = SSL.Context(SSL.DTLS_METHOD)
    context.use_certificate(THEIRS.certificate)
    context.use_privatekey(THEIRS.key)
    context.set_verify(SSL.VERIFY_NONE, lambda *_: True)
    return context


def test_a_fingerprint_vouches_for_one_certificate_only() -> None:
    certificate = OURS.certificate

    assert is_promised(certificate, [OURS.fingerprint])
    assert is_promised(certificate, ["sha-1 AA", fingerprint_of(certificate, "sha-512").lower()])
    assert not is_promised(certificate, [THEIRS.fingerprint])
    assert not is_promised(certificate, [])
    assert not is_promised(certificate, ["sha-1 " + "AA:" * 19 + "AA", "nonsense", ""])


def test_a_row_of_records_is_told_from_anything_else() -> None:
    record = b"\x16\xfe\xfd" + bytes(8) + b"\x00\x03abc"

    assert split(record * 3) == [record] * 3
    assert split(record[:-1]) is None
    assert split(b"\x16\x03" + record[2:]) is None
    assert split(bytes(HEADER_BYTES - 1)) is None
    assert pack([record] * 3, 2 * len(record)) == [record * 2, record]


def keys() -> tuple[Srtp, Srtp]:
    one, other = bytes(range(30)), bytes(range(30, 60))
    return (
        Srtp(AES_128_CM_SHA1_80, send_key=one, receive_key=other),
        Srtp(AES_128_CM_SHA1_80, send_key=other, receive_key=one),
    )


def test_media_passes_once_and_only_whole() -> None:
    alice, bob = keys()
    packet = rtp(1)
    protected = alice.protected(packet)
    assert protected is not None

    assert bob.opened(protected[:-1] + bytes([protected[-1] ^ 1])) is None
    assert bob.opened(protected) == packet
    assert bob.opened(protected) is None


def test_rtcp_is_protected_as_rtcp() -> None:
    alice, bob = keys()
    report = b"\x80\xc9\x00\x01" + (7).to_bytes(4, "big")

    protected = alice.protected(report)

    assert protected is not None
    assert bob.opened(protected) == report


def test_packets_of_impossible_size_are_refused() -> None:
    alice, bob = keys()

    assert alice.protected(rtp(1, payload=bytes(PACKET_BYTES))) is None
    assert alice.protected(b"\x80") is None
    assert bob.opened(bytes([0x80]) * 1_501) is None
    assert bob.opened(b"\x80\x60") is None
