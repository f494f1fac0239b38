"""Two servers behind a proxy are replaced one after the other: the proxy finds the other one."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.process import Running, start_server
from tests.support.real_workers import cluster_environment, people, says
from tests.support.servers.base import (
    Process,
    accepts,
    apt_install,
    find_program,
    free_port,
    missing,
    server_folder,
)
from tests.support.waiting import until

pytestmark = pytest.mark.slow

# What a server refuses at once has reached nobody: another one is asked. Health is what /readyz
# says, which fails first when a server ends. A server that answers late is not ill: without
# `timeout check` the pause between two checks would be all the time it has.
PROXY = """
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    timeout tunnel 60s
    timeout check 5s
    retries 3
    option redispatch 1
listen chat
    bind 127.0.0.1:{port}
    option httpchk GET /readyz
    default-server inter 200ms fall 1 rise 1 check
    server one 127.0.0.1:{ports[0]}
    server two 127.0.0.1:{ports[1]}
"""


@contextmanager
def proxy(ports: list[int]) -> Iterator[str]:
    program = find_program("haproxy", "/usr/sbin")
    if program is None and apt_install("haproxy"):
        program = find_program("haproxy", "/usr/sbin")
    if program is None:
        missing("haproxy", "install the package haproxy")
        raise AssertionError
    with server_folder("proxy") as folder:
        port = free_port()
        settings = folder / "haproxy.cfg"
        settings.write_text(PROXY.format(port=port, ports=ports), "utf-8")
        process = Process("haproxy", [program, "-db", "-f", str(settings)], folder)
        process.start(lambda: accepts("127.0.0.1", port), within_s=10)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.stop()


async def test_servers_behind_a_proxy_are_replaced_and_no_send_fails(tmp_path: Path) -> None:
    environment = await asyncio.to_thread(
        cluster_environment, HUBBUB_SERVER__TRUSTED_PROXIES='["127.0.0.1"]',
        HUBBUB_SERVER__REGISTRATION="open",
    )  # fmt: skip
    ports = [free_port(), free_port()]

    async def start(number: int, version: int) -> Running:
        folder = tmp_path / f"s{number}v{version}"
        return await asyncio.to_thread(start_server, folder, port=ports[number], env=environment)

    servers = [await start(0, 1), await start(1, 1)]
    try:
        with proxy(ports) as url:
            async with people(url, 6, "proxied", transports=("websocket",)) as all_of_them:
                ended = asyncio.Event()
                sending = [
                    asyncio.create_task(says(one, f"{n}", ended))
                    for n, one in enumerate(all_of_them)
                ]
                for number in (0, 1):
                    assert await asyncio.to_thread(servers[number].stop) == 0
                    servers[number] = await start(number, 2)
                    await asyncio.sleep(0.5)
                ended.set()
                said = [text for texts in await asyncio.gather(*sending) for text in texts]
                await until(lambda: all(len(one.heard) >= len(said) for one in all_of_them), 30)

                assert len(said) > 50
                assert all(Counter(one.heard) == Counter(said) for one in all_of_them)
    finally:
        for server in servers:
            server.stop()
