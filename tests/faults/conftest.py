"""A small cluster for all fault tests of a run: PostgreSQL, Redis, two hubs, links between."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest_asyncio

from tests.support.cluster import Cluster, Shape, running_cluster
from tests.support.servers.base import Missing, missing


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cluster() -> AsyncIterator[Cluster]:
    try:
        async with running_cluster(Shape(log="postgres", links=True)) as cluster:
            yield cluster
    except Missing as error:
        missing("A server of the cluster", str(error))


@pytest_asyncio.fixture(loop_scope="session")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session
