"""The links below redis-py on the event loop that the server runs on."""

from __future__ import annotations

import pytest
import uvloop

from server.kernel.clock import System
from server.kernel.ids import NodeId
from storage.redis import open_redis
from tests.support.shared import Ear, own_settings

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", ["redis", "redis-tls"])
def test_nodes_hear_each_other_under_uvloop(kind: str) -> None:
    settings = own_settings(kind)

    async def talk() -> list[tuple[str, bytes]]:
        laura, max_ = [
            await open_redis(settings, node_id=NodeId(name), clock=System())
            for name in ("laura", "max")
        ]
        ear = Ear(max_)
        await max_.fanout.subscribe(["garden"])
        for i in range(500):
            laura.fanout.publish("garden", b"%d" % i + b"x" * 5_000)
        await laura.close()
        heard = await ear.hears(500)
        await max_.close()
        return heard

    heard = uvloop.run(talk())

    assert [data.rstrip(b"x") for _, data in heard] == [b"%d" % i for i in range(500)]
