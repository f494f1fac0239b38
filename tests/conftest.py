"""For all tests: one seed for hypothesis and random, printed, so that a failure can be repeated."""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import HealthCheck, settings

SEED = int(os.environ.get("TEST_SEED", "20261121"))

settings.register_profile(
    "house",
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("house")


def pytest_report_header() -> str:
    return f"seed {SEED} (TEST_SEED)"


@pytest.fixture(autouse=True)
def seeded() -> None:
    random.seed(SEED)


@pytest.fixture
def seed() -> int:
    return SEED
