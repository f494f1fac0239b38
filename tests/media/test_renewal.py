"""A certificate that is renewed while TURN over TLS is served."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from media.dtls.certificate import Certificate, new_certificate
from media.planes.renewal import RenewedContext


def written(folder: Path, made: Certificate, at: int) -> tuple[str, str]:
    chain, key = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(made.certificate.public_bytes(Encoding.PEM))
    key.write_bytes(made.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    for path in (chain, key):
        os.utime(path, (at, at))
    return str(chain), str(key)


def replaced(chain: str, made: Certificate) -> None:
    """The key is still the old one's."""
    Path(chain).write_bytes(made.certificate.public_bytes(Encoding.PEM))


async def shown(context: ssl.SSLContext) -> bytes:
    """The certificate that a new connection sees, DER."""
    ours, theirs = socket.socketpair()
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    loop = asyncio.get_running_loop()
    serving = loop.create_task(loop.connect_accepted_socket(asyncio.Protocol, theirs, ssl=context))
    _, writer = await asyncio.open_connection(sock=ours, ssl=trusting, server_hostname="x")
    der: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    transport, _ = await serving
    writer.transport.abort()
    transport.abort()
    await asyncio.sleep(0)
    return der


async def test_new_connections_see_the_renewed_one(tmp_path: Path) -> None:
    first, second = new_certificate(), new_certificate()
    renewed = RenewedContext(*written(tmp_path, first, at=1_000))

    renewed.look()
    before = await shown(renewed.context)
    written(tmp_path, second, at=2_000)
    renewed.look()

    assert before == first.certificate.public_bytes(Encoding.DER)
    assert await shown(renewed.context) == second.certificate.public_bytes(Encoding.DER)


async def test_a_half_written_one_is_left_until_it_is_whole(tmp_path: Path) -> None:
    first, second = new_certificate(), new_certificate()
    chain, key = written(tmp_path, first, at=1_000)
    renewed = RenewedContext(chain, key)

    replaced(chain, second)
    renewed.look()  # the old key does not fit it
    half = await shown(renewed.context)
    written(tmp_path, second, at=2_000)
    renewed.look()

    assert half == first.certificate.public_bytes(Encoding.DER)
    assert await shown(renewed.context) == second.certificate.public_bytes(Encoding.DER)


def test_what_is_no_certificate_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "chain.pem"
    path.write_text("no certificate")

    with pytest.raises(OSError):
        RenewedContext(str(path), "")
