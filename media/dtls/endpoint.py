"""One end of one DTLS association, without I/O: datagrams in, datagrams out.

OpenSSL reads its own clock for retransmissions: `now` here only says when to ask it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cryptography import x509
from OpenSSL import SSL

from media.dtls.context import PROFILES, SrtpProfile
from media.dtls.records import RECORD_BYTES, pack, split

MTU = 1_200
"""Payload that fits any path WebRTC uses: IPv6's 1,280 less the headers of IP, UDP and TURN."""
HANDSHAKE_S = 30.0
"""Retransmissions double from 1 s: the sixth is sent by then."""
_LABEL = b"EXTRACTOR-dtls_srtp"
_READ_BYTES = 16_384

Role = Literal["client", "server"]


@dataclass(frozen=True, slots=True)
class Transmit:
    datagram: bytes


@dataclass(frozen=True, slots=True, repr=False)
class Established:
    """The handshake is done. Nothing is to be trusted before `certificate` was compared with the
    fingerprint. Keys are master key and salt in one; without a profile there are none: the peer
    has no media.
    """

    certificate: x509.Certificate
    profile: SrtpProfile | None
    send_key: bytes
    receive_key: bytes


@dataclass(frozen=True, slots=True)
class Received:
    """One message of the application (SCTP)."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Closed:
    """`reason`: "peer" (its alert), "timeout", "failed"; `detail` is OpenSSL's word for it."""

    reason: str
    detail: str = ""


Output = Transmit | Established | Received | Closed


class Endpoint:
    """After `Closed` nothing comes of it any more."""

    def __init__(self, context: SSL.Context, role: Role, now: float, *, mtu: int = MTU) -> None:
        self.role: Role = role
        self.established = False
        self.closed = False
        self._mtu = mtu
        self._give_up = now + HANDSHAKE_S
        self._again: float | None = None
        self._ssl = SSL.Connection(context)
        self._ssl.set_ciphertext_mtu(mtu)
        if role == "server":
            self._ssl.set_accept_state()
        else:
            self._ssl.set_connect_state()

    def start(self, now: float) -> list[Output]:
        """The client speaks first; a server waits for it."""
        return self._shake(now) if self.role == "client" else []

    def handle(self, datagram: bytes, now: float) -> list[Output]:
        """What is not a row of DTLS 1.2 records is dropped whole."""
        if self.closed or len(datagram) > RECORD_BYTES or split(datagram) is None:
            return []
        self._ssl.bio_write(datagram)
        if not self.established:
            return self._shake(now)
        return self._read()

    def send(self, data: bytes) -> list[Output]:
        """One message of the application, at most what fits in one record."""
        if self.closed or not self.established:
            return []
        try:
            self._ssl.send(data)
        except SSL.Error:
            return []
        return self._flush()

    def close(self) -> list[Output]:
        """Tells the peer; nothing is awaited."""
        if self.closed:
            return []
        self.closed = True
        try:
            self._ssl.shutdown()
        except SSL.Error:
            return []
        return self._flush()

    def tick(self, now: float) -> list[Output]:
        if self.closed or self.established:
            return []
        if now >= self._give_up:
            return self._end("timeout", "")
        if self._again is None or now < self._again:
            return []
        try:
            self._ssl.DTLSv1_handle_timeout()
        except SSL.Error as error:
            return self._end("failed", _word(error))
        self._schedule(now)
        return self._flush()

    def next_deadline(self) -> float | None:
        if self.closed or self.established:
            return None
        return self._give_up if self._again is None else min(self._again, self._give_up)

    def _shake(self, now: float) -> list[Output]:
        try:
            self._ssl.do_handshake()
        except SSL.WantReadError:
            self._schedule(now)
            return self._flush()
        except (SSL.ZeroReturnError, SSL.SysCallError):
            return self._end("peer", "")
        except SSL.Error as error:
            return [*self._flush(), *self._end("failed", _word(error))]
        self.established = True
        certificate = self._ssl.get_peer_certificate(as_cryptography=True)
        if certificate is None:
            return self._end("failed", "no certificate")
        return [*self._flush(), self._result(certificate), *self._read()]

    def _result(self, certificate: x509.Certificate) -> Established:
        name = self._ssl.get_selected_srtp_profile().decode()
        profile = next((known for known in PROFILES if known.name == name), None)
        if profile is None:
            return Established(certificate, None, b"", b"")
        # RFC 5764, section 4.2: client key, server key, client salt, server salt.
        key, salt = profile.key_bytes, profile.salt_bytes
        material = self._ssl.export_keying_material(_LABEL, 2 * (key + salt))
        salts = material[2 * key :]
        client = material[:key] + salts[:salt]
        server = material[key : 2 * key] + salts[salt:]
        if self.role == "client":
            return Established(certificate, profile, client, server)
        return Established(certificate, profile, server, client)

    def _read(self) -> list[Output]:
        outputs: list[Output] = []
        while True:
            try:
                outputs.append(Received(self._ssl.recv(_READ_BYTES)))
            except SSL.WantReadError:
                # A handshake message that came again is answered from here too.
                return outputs + self._flush()
            except (SSL.ZeroReturnError, SSL.SysCallError):
                return outputs + self._end("peer", "")
            except SSL.Error as error:
                return outputs + self._end("failed", _word(error))

    def _flush(self) -> list[Output]:
        try:
            written = self._ssl.bio_read(65_536)
        except SSL.Error:
            return []
        records = split(written)
        if records is None:
            return [Transmit(written)]
        return [Transmit(datagram) for datagram in pack(records, self._mtu)]

    def _schedule(self, now: float) -> None:
        left = self._ssl.DTLSv1_get_timeout()
        self._again = None if left is None else now + left

    def _end(self, reason: str, detail: str) -> list[Output]:
        self.closed = True
        return [Closed(reason, detail)]


def _word(error: SSL.Error) -> str:
    """OpenSSL's reason, without the library's and the function's name."""
    stack = error.args[0] if error.args else None
    return str(stack[0][-1]) if isinstance(stack, list) and stack else ""
