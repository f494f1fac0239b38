"""Which Redis to talk to, and how: one server, the primary that Sentinels name, or a Cluster."""

from __future__ import annotations

import random
import ssl
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster, SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from server.kernel.config import Redis as Settings

CONNECTIONS = 32
"""Of each client at most; what comes beyond waits for one."""
SENTINEL_S = 1.0
"""A Sentinel that does not answer in this time is passed over."""
CLUSTER_TRIES = 3
"""A moved slot and a lost node are found out by trying."""

Client = Redis | RedisCluster
Address = tuple[str, int]


class Servers:
    """Makes clients, and says where the two connections of the fan-out go."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.tls = _tls_context(settings)
        self._sentinel = _sentinel(settings) if settings.sentinels else None

    @property
    def watched(self) -> bool:
        """True: `primary` may change while the server we are connected to still answers."""
        return self._sentinel is not None

    def client(self) -> Client:
        """Connects when first used. A call has no time limit and is not tried again: whoever calls
        has both.
        """
        settings = self.settings
        given = _connection(settings, settings.user, settings.password)
        if self._sentinel is not None:
            client: Client = self._sentinel.master_for(
                settings.sentinel_name, db=settings.database, max_connections=1024, **given
            )
            return client
        given |= {"host": settings.host, "port": settings.port}
        if settings.cluster:
            retry = Retry(NoBackoff(), CLUSTER_TRIES)
            return RedisCluster(**given | {"retry": retry, "max_connections": 1024})
        tls = given.pop("ssl")
        pool = BlockingConnectionPool(
            max_connections=CONNECTIONS, timeout=None, db=settings.database,
            **given | ({"connection_class": SSLConnection} if tls else {}),
        )  # fmt: skip
        return Redis.from_pool(pool)

    async def primary(self, client: Client) -> Address:
        """Where to publish and to listen now. Raises what redis-py raises."""
        if self._sentinel is not None:
            host, port = await self._sentinel.discover_master(self.settings.sentinel_name)
            return str(host), int(port)
        if isinstance(client, RedisCluster):
            await client.initialize()
            node = random.choice(client.get_primaries())
            return str(node.host), int(node.port)
        return self.settings.host, self.settings.port

    async def close(self) -> None:
        if self._sentinel is not None:
            for sentinel in self._sentinel.sentinels:
                await sentinel.aclose()


def _tls_context(settings: Settings) -> ssl.SSLContext | None:
    """`on`: encrypted, whoever answers; `verify`: a certificate for that host by a known CA."""
    if settings.tls == "off":
        return None
    context = ssl.create_default_context(cafile=settings.ca_file or None)
    if settings.tls == "on":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _connection(settings: Settings, user: str, password: str) -> dict[str, Any]:
    given: dict[str, Any] = {
        "username": user or None, "password": password or None, "ssl": settings.tls != "off",
        "protocol": 2, "socket_timeout": None, "socket_connect_timeout": settings.limit_s,
        "retry": Retry(NoBackoff(), 0),
    }  # fmt: skip
    if settings.tls != "off":
        verify = settings.tls == "verify"
        given["ssl_cert_reqs"] = "required" if verify else "none"
        given["ssl_check_hostname"] = verify
        given["ssl_ca_certs"] = settings.ca_file or None
    return given


def _sentinel(settings: Settings) -> Sentinel:
    known = [address.rpartition(":") for address in settings.sentinels]
    given = _connection(settings, "", settings.sentinel_password)
    given |= {"socket_timeout": SENTINEL_S, "socket_connect_timeout": SENTINEL_S}
    addresses = [(host, int(port)) for host, _, port in known]
    return Sentinel(addresses, sentinel_kwargs=given)  # type: ignore[no-untyped-call]
