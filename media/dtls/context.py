"""One OpenSSL context for all handshakes: making one for each costs half a handshake more."""

from __future__ import annotations

from dataclasses import dataclass

from OpenSSL import SSL

from media.dtls.certificate import Certificate

DTLS_1_2 = 0xFEFD
"""Higher is not asked for: records of DTLS 1.3 have other edges, and no browser insists."""
_CIPHERS = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    b"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
    b"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    b"ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA"
)


@dataclass(frozen=True, slots=True)
class SrtpProfile:
    """How many bytes to export for each side, under the name that OpenSSL knows."""

    name: str
    key_bytes: int
    salt_bytes: int


AEAD_AES_128_GCM = SrtpProfile("SRTP_AEAD_AES_128_GCM", 16, 12)
AES_128_CM_SHA1_80 = SrtpProfile("SRTP_AES128_CM_SHA1_80", 16, 14)
PROFILES = (AEAD_AES_128_GCM, AES_128_CM_SHA1_80)
"""The better one first."""


def new_context(
    certificate: Certificate, profiles: tuple[SrtpProfile, ...] = PROFILES
) -> SSL.Context:
    """Serves both roles. The peer's certificate is asked for; who it is, is decided later by its
    fingerprint.
    """
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_min_proto_version(DTLS_1_2)
    context.set_max_proto_version(DTLS_1_2)
    context.set_options(
        SSL.OP_NO_TICKET | SSL.OP_NO_QUERY_MTU | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION
    )
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _take_any)
    context.use_certificate(certificate.certificate)
    context.use_privatekey(certificate.key)
    context.set_cipher_list(_CIPHERS)
    context.set_tlsext_use_srtp(":".join(profile.name for profile in profiles).encode())
    return context


def _take_any(*_: object) -> bool:
    return True
