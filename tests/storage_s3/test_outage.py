"""A store that is away, hangs, is another one, or refuses us."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import msgspec
import pytest

from server.kernel.clock import System, Virtual
from server.kernel.config import S3
from server.kernel.errors import Unavailable
from storage.s3 import S3Files, open_s3
from storage.s3.state import PART_BYTES as PART
from tests.support.file_stores import a_file, content, fresh_bucket, given, pattern, put
from tests.support.lateness import lateness
from tests.support.servers.base import Missing, missing, server_folder
from tests.support.servers.minio import MinioServer, minio, start

pytestmark = pytest.mark.slow


@pytest.fixture
def own_server() -> Iterator[MinioServer]:
    """One that this test may kill."""
    with server_folder("minio") as folder:
        try:
            server = start(folder)
        except Missing as why:
            missing("MinIO", str(why))
            raise
        assert server.process is not None
        yield server
        server.process.stop()


async def test_what_was_answered_survives_a_kill_of_the_store(own_server: MinioServer) -> None:
    files = await open_s3(_patient(own_server.config), clock=System())
    done, upload = await put(files, pattern(PART + 1)), a_file(2 * PART)
    await files.uploads.begin(upload)
    await files.uploads.append(upload.id, 0, given(pattern(PART + 7)))

    own_server.kill()
    with pytest.raises(Unavailable):
        await files.uploads.append(upload.id, PART + 7, given(b"x"))
    with pytest.raises(Unavailable):
        await content(files, done.id)
    with pytest.raises(Unavailable, match="does not serve"):
        await files.checks["s3"]()
    own_server.start_again()
    await _serves_again(files)

    at = await files.uploads.offset(upload.id)
    await files.uploads.append(upload.id, at, given(pattern(2 * PART - at, at)))
    await files.uploads.complete(upload.id)
    assert at == PART + 7
    assert await content(files, upload.id) == pattern(2 * PART)
    assert await content(files, done.id) == pattern(PART + 1)
    await files.close()


async def test_a_store_that_hangs_costs_a_call_its_limit_and_no_more(
    own_server: MinioServer,
) -> None:
    files = await open_s3(msgspec.structs.replace(own_server.config, limit_s=0.5), clock=System())
    file = await put(files, b"abc")
    assert own_server.process is not None

    own_server.process.freeze()
    async with lateness() as late:
        started = time.monotonic()
        answers = await asyncio.gather(
            *(files.stat(file.id) for _ in range(50)), return_exceptions=True
        )
        took = time.monotonic() - started
    own_server.process.thaw()

    assert [a for a in answers if not isinstance(a, Unavailable)] == []
    assert took < 2 + late.seconds
    await _serves_again(files)
    assert await files.stat(file.id) == file
    await files.close()


async def test_a_store_that_is_away_at_the_start_is_used_once_it_is_there(
    own_server: MinioServer,
) -> None:
    own_server.kill()
    files = await open_s3(_patient(own_server.config), clock=System())

    own_server.start_again()
    await _serves_again(files)

    file = await put(files, b"abc")
    assert await content(files, file.id) == b"abc"
    await files.close()


async def test_a_wrong_secret_is_named_for_the_operator_and_not_shown(
    config: S3, clock: Virtual
) -> None:
    wrong = msgspec.structs.replace(config, secret_key="wrong-secret-key")
    files = await open_s3(wrong, clock=clock)

    with pytest.raises(Unavailable) as refused:
        await files.checks["s3"]()

    assert "AccessDenied" in refused.value.text or "SignatureDoesNotMatch" in refused.value.text
    assert "wrong-secret-key" not in refused.value.text
    await files.close()


@pytest.mark.parametrize(
    "bad",
    [{"bucket": "No Such/Bucket"}, {"endpoint": "http://host/path"}, {"endpoint": ""}],
    ids=str,
)
async def test_a_configuration_that_cannot_be_used_is_refused_at_the_start(
    config: S3, clock: Virtual, bad: dict[str, str]
) -> None:
    with pytest.raises(Unavailable, match=r"\[s3\]"):
        await open_s3(msgspec.structs.replace(config, **bad), clock=clock)


async def test_over_tls_the_store_is_known_by_its_certificate(
    clock: Virtual,
) -> None:
    config = fresh_bucket(minio(tls=True).config)
    files = await open_s3(config, clock=clock)
    file = await put(files, pattern(PART + 1))
    url = files.url(file.id, 60)

    assert await content(files, file.id) == pattern(PART + 1)
    assert url is not None
    assert url.startswith("https://")
    await files.close()


async def test_over_tls_an_unknown_certificate_is_refused_unless_told_otherwise(
    clock: Virtual,
) -> None:
    config = fresh_bucket(minio(tls=True).config)
    strict = await open_s3(msgspec.structs.replace(config, ca_file=""), clock=clock)
    with pytest.raises(Unavailable):
        await strict.checks["s3"]()
    await strict.close()

    trusting = await open_s3(msgspec.structs.replace(config, tls="on", ca_file=""), clock=clock)
    file = await put(trusting, b"abc")

    assert await content(trusting, file.id) == b"abc"
    await trusting.close()


async def test_a_missing_ca_file_is_told_at_the_start(config: S3, clock: Virtual) -> None:
    bad = msgspec.structs.replace(config, tls="verify", ca_file="/no/such/ca.pem")

    with pytest.raises(Unavailable, match="No such file"):
        await open_s3(bad, clock=clock)


def _patient(config: S3) -> S3:
    return msgspec.structs.replace(config, limit_s=2.0)


async def _serves_again(files: S3Files) -> None:
    """The breaker lets a probe through every second."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await files.checks["s3"]()
            except Unavailable:
                await asyncio.sleep(0.1)
