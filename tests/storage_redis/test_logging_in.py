"""Passwords, users and TLS."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
import structlog

from server.kernel.errors import Unavailable
from tests.storage_redis.conftest import Open
from tests.support.servers.redis import Certificates, Server
from tests.support.shared import Ear, a_node

pytestmark = pytest.mark.slow


async def test_a_user_of_its_own_is_enough(redis: Server, open_node: Open) -> None:
    redis.ask("ACL", "SETUSER", "hubbub", "on", ">secret", "~hubbub:*", "&hubbub:*", "+@all")
    own = msgspec.structs.replace(redis.settings, user="hubbub", password="secret")
    laura, max_ = await open_node(own, "laura"), await open_node(own, "max")
    ear = Ear(max_)
    await max_.fanout.subscribe(["garden"])

    laura.fanout.publish("garden", b"hello")

    assert await ear.hears(1) == [("garden", b"hello")]
    assert not await laura.nodes.beat(a_node(), 1.0)


async def test_a_wrong_password_is_told_without_showing_it(redis: Server, open_node: Open) -> None:
    wrong = msgspec.structs.replace(redis.settings, password="not-the-password")

    with structlog.testing.capture_logs() as lines:
        laura = await open_node(wrong, "laura")
        with pytest.raises(Unavailable) as refusal:
            await laura.nodes.beat(a_node(), 1.0)

    assert {"event": "fanout.cut_off", "reason": "WRONGPASS", "log_level": "warning"} in [
        {key: line[key] for key in ("event", "reason", "log_level") if key in line}
        for line in lines
    ]
    assert "not-the-password" not in str(lines) + str(refusal.value)


async def test_a_server_that_no_known_ca_vouches_for_is_not_trusted(
    redis_tls: Server, open_node: Open, folder: Path
) -> None:
    (folder / "other").mkdir()
    other = msgspec.structs.replace(
        redis_tls.settings, ca_file=str(Certificates(folder / "other").ca)
    )
    laura = await open_node(other, "laura")

    with pytest.raises(Unavailable):
        await laura.nodes.beat(a_node(), 1.0)

    assert not laura.fanout.connected


async def test_encrypted_without_a_ca_is_to_be_had_too(redis_tls: Server, open_node: Open) -> None:
    laura = await open_node(msgspec.structs.replace(redis_tls.settings, tls="on", ca_file=""), "l")

    assert not await laura.nodes.beat(a_node(), 1.0)
    assert laura.fanout.connected


async def test_what_is_no_redis_is_told_and_tried_again(redis: Server, open_node: Open) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        settings = msgspec.structs.replace(redis.settings, port=port)
        with structlog.testing.capture_logs() as lines:
            laura = await open_node(settings, "laura")
            with pytest.raises(Unavailable):
                await laura.nodes.beat(a_node(), 1.0)
            await laura.close()

    assert "PROTOCOL" in {line.get("reason") for line in lines}
    assert "task.crashed" not in {line["event"] for line in lines}
