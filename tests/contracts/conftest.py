"""The store under contract: every test here runs over each implementation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.api import Store
from tests.support.stores import JOINT_STORES, STORES, open_store


@pytest.fixture(params=JOINT_STORES)
async def joint_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """Where an append and its apply of one loop turn are one transaction."""
    async with open_store(request.param, tmp_path) as opened:
        assert opened.joint
        yield opened


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(request.param, tmp_path) as opened:
        yield opened
