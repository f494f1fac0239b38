"""These tests run on the product's loop."""

import pytest
import uvloop


@pytest.fixture
def event_loop_policy():
    return uvloop.EventLoopPolicy()
