from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.accounts_house import House, open_house


@pytest.fixture
async def house() -> AsyncIterator[House]:
    opened = await open_house()
    yield opened
    await opened.close()
