"""The certificate of this process, and how a peer's is compared with what signaling promised."""

from __future__ import annotations

import datetime
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

DIGESTS: Final = {"sha-256": "sha256", "sha-384": "sha384", "sha-512": "sha512"}
_VALID_FOR = datetime.timedelta(days=3_650)
"""Peers look at the fingerprint only; it only has to outlive the process."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Self-signed: the fingerprint in the SDP is what vouches for it."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def __repr__(self) -> str:
        return "Certificate(...)"

    @property
    def fingerprint(self) -> str:
        """As it follows `a=fingerprint:`."""
        return fingerprint_of(self.certificate, "sha-256")


def new_certificate(
    now: datetime.datetime | None = None, curve: ec.EllipticCurve | None = None
) -> Certificate:
    """P-256, which every WebRTC peer must take (RFC 8827, section 6.5)."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "WebRTC")])
    now = now or datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + _VALID_FOR)
    )
    return Certificate(key, builder.sign(key, hashes.SHA256()))


def fingerprint_of(certificate: x509.Certificate, algorithm: str) -> str:
    """ "sha-256 AB:CD:...": the SDP form (RFC 8122, section 5)."""
    der = certificate.public_bytes(Encoding.DER)
    return f"{algorithm} {hashlib.new(DIGESTS[algorithm], der).digest().hex(':').upper()}"


def is_promised(certificate: x509.Certificate, fingerprints: Sequence[str]) -> bool:
    """Whether one of the promised fingerprints, by an algorithm that we trust, is of it."""
    for promised in fingerprints:
        algorithm = promised.partition(" ")[0].lower()
        if algorithm not in DIGESTS:
            continue
        ours = fingerprint_of(certificate, algorithm).lower()
        if hmac.compare_digest(ours.encode(), promised.lower().encode()):
            return True
    return False
