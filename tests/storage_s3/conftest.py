"""A bucket of its own on a real MinIO."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from server.kernel.clock import Virtual
from server.kernel.config import S3
from storage.s3 import S3Files, open_s3
from tests.support.file_stores import clock_now, fresh_bucket
from tests.support.servers.minio import minio


@pytest.fixture
def clock() -> Virtual:
    return clock_now()


@pytest.fixture
def config() -> S3:
    return fresh_bucket(minio().config)


@pytest.fixture
async def files(config: S3, clock: Virtual) -> AsyncIterator[S3Files]:
    opened = await open_s3(config, clock=clock)
    yield opened
    await opened.close()


@pytest.fixture
async def other_node(files: S3Files, config: S3, clock: Virtual) -> AsyncIterator[S3Files]:
    """Another process on the same bucket."""
    opened = await open_s3(config, clock=clock)
    yield opened
    await opened.close()
