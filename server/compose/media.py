"""The media process as the server has it: configured, watched, and told to clients as addresses."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from media import api
from media.connections import PlaneCounts, PlaneReady
from media.planes.child import ChildPlane
from media.planes.frames import Configure
from media.planes.reports import Command, Reports
from media.planes.settings import PlaneSettings, TurnOptions, local_hosts
from server.kernel.config import Config
from server.kernel.errors import Unavailable
from server.kernel.logs import Secret, get_logger
from server.kernel.tasks import TaskOwner

READY_S = 10.0
"""A media process that has opened no socket for so long is told by /readyz."""
WAIT_S = 8.0
"""How long a call that is started with the server waits to hear where its TURN is."""
NAMED_HOSTS = 2
"""Browsers that are given many TURN servers are slow to gather candidates."""
LIBRARIES = ("aiortc", "OpenSSL", "pylibsrtp")

log = get_logger(__name__)


def is_installed() -> bool:
    """Whether the extra `calls` is there."""
    return all(find_spec(name) is not None for name in LIBRARIES)


def media_hosts(config: Config) -> tuple[str, ...]:
    """Numeric, wildcards among them: where the media port listens. Raises Unavailable."""
    if config.media.hosts:
        return config.media.hosts
    if config.on_loopback and not config.is_local:
        return ("0.0.0.0",)
    host = config.server.host
    try:
        return (str(ipaddress.ip_address(host)),)
    except ValueError:
        pass
    try:
        return (str(socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)[0][4][0]),)
    except OSError:
        raise Unavailable(f"No address is known for {host}: set media.hosts.") from None


def plane_settings(config: Config, secret: Secret, http_port: int) -> PlaneSettings:
    """`http_port`: where HTTP listens, or 0 where that is chosen too. Raises Unavailable."""
    media = config.media
    hosts = media_hosts(config)
    chosen = http_port if config.server.port else 0
    tcp_port = (min(chosen + 1, 65_535) if chosen else 0) if media.tcp_port < 0 else media.tcp_port
    return PlaneSettings(
        hosts=hosts,
        port=chosen if media.port < 0 else media.port,
        tcp_port=tcp_port if media.tcp else None,
        # A firewall opens one number: where there may be one, any other would be no better.
        or_any=config.is_local and media.port < 0 and media.tcp_port < 0,
        public_hosts=media.public_hosts,
        stun_server=media.stun_server,
        turn=_turn_options(config, secret, hosts),
        tls_certificate=media.tls_certificate,
        tls_key=media.tls_key,
    )


def _turn_options(config: Config, secret: Secret, hosts: tuple[str, ...]) -> TurnOptions | None:
    media = config.media
    # There is one relay host of each family: one that the world reaches, where there is one.
    found = sorted(local_hosts(hosts), key=lambda host: not ipaddress.ip_address(host).is_global)
    v4, v6 = (
        [(host, _public(media.public_hosts, host)) for host in found if (":" in host) is v6]
        for v6 in (False, True)
    )
    bind, public = (v4 or v6 or [("", "")])[0]
    bind6, public6 = (v6 if v4 and v6 else [("", "")])[0]
    if not bind:
        return None
    return TurnOptions(
        secrets=(secret.reveal(),), bind=bind, public=public, bind6=bind6, public6=public6,
        first_port=media.relay_first_port, last_port=media.relay_last_port,
        allowed_peers=media.allowed_peers, user_bps=media.user_bps,
        user_allocations=media.user_allocations,
    )  # fmt: skip


def _public(public_hosts: Sequence[str], host: str) -> str:
    """What the world sees of a socket bound to `host`."""
    return next((one for one in public_hosts if (":" in one) == (":" in host)), host)


def own_urls(config: Config, ready: PlaneReady) -> tuple[str, ...]:
    """What clients are told of this node's media port: URLs of RFC 7064 and 7065."""
    names = [_bracketed(host) for host in _names(config, ready)]
    udp, tcp = ready.port, ready.tcp_port
    urls = [f"stun:{name}:{udp}" for name in names]
    urls += [f"turn:{name}:{udp}?transport=udp" for name in names]
    if tcp is not None:
        urls += [f"turn:{name}:{tcp}?transport=tcp" for name in names]
        if config.media.tls_certificate:
            urls += [f"turns:{name}:{tcp}?transport=tcp" for name in names]
    return tuple(urls)


def _names(config: Config, ready: PlaneReady) -> Sequence[str]:
    media = config.media
    if media.public_name:
        return (media.public_name,)
    if media.public_hosts:
        return media.public_hosts[:NAMED_HOSTS]
    public = urlsplit(config.server.public_url).hostname
    if public and not media.hosts:
        return (public,)
    # Candidates are in the order of their use: those that the world can reach go first.
    offered = dict.fromkeys(line.split()[4] for line in ready.candidates)
    return list(offered)[:NAMED_HOSTS]


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


class MediaPart:
    """Owns the media process. Implements `PacketPlane` for what `signaling` says and hears."""

    def __init__(self, config: Config, settings: PlaneSettings, *, tasks: TaskOwner) -> None:
        self.config = config
        self.ready: PlaneReady | None = None
        self.on_ready: list[Callable[[], None]] = []
        self._plane = ChildPlane(Configure(settings, config.logging.level, _log_format(config)))
        self._tasks = tasks
        self._reports = Reports()
        self._counts: PlaneCounts | None = None
        self._known = asyncio.Event()
        self._since = asyncio.get_running_loop().time()

    def start(self) -> None:
        self._plane.start()
        self._tasks.start(self._listen(), "media")

    async def close(self) -> None:
        await self._plane.close()

    # ---- addresses -------------------------------------------------------------------------------

    @property
    def urls(self) -> tuple[str, ...]:
        return () if self.ready is None else own_urls(self.config, self.ready)

    @property
    def refused(self) -> str | None:
        """Why the sockets could not be opened."""
        return self._plane.refused

    async def known(self, within_s: float = WAIT_S) -> bool:
        """Waits until the addresses are known, until so long after the start at most: who calls
        later does not wait. False: they are not known by then.
        """
        try:
            async with asyncio.timeout_at(self._since + within_s):
                await self._known.wait()
        except TimeoutError:
            return False
        return True

    # ---- the seam (media.api) --------------------------------------------------------------------

    def command(self, command: Command) -> None:
        self._plane.command(command)

    async def reports(self) -> Sequence[api.Report]:
        return [one for one in await self._reports.take() if isinstance(one, api.Report)]

    # ---- for operators ---------------------------------------------------------------------------

    async def check(self) -> None:
        """For /readyz. Raises Unavailable."""
        if self._plane.refused is not None:
            raise Unavailable(f"The media port cannot be opened: {self._plane.refused}.")
        if self._plane.running and self.ready is not None:
            return
        if asyncio.get_running_loop().time() - self._since > READY_S:
            raise Unavailable("The media process does not start.")

    def snapshot(self) -> Mapping[str, Any]:
        """For /metrics."""
        counts = self._counts
        numbers: dict[str, Any] = {
            "media_starts_total": self._plane.starts, "media_up": int(self._plane.running)
        }  # fmt: skip
        if counts is not None:
            numbers["media_connections"] = counts.connections
            numbers["turn_allocations"] = counts.allocations
            numbers["media_dropped_total"] = {"label": "reason", "values": counts.drops}
        return numbers

    async def _listen(self) -> None:
        while True:
            for report in await self._plane.reports():
                match report:
                    case PlaneReady():
                        self._became_ready(report)
                    case PlaneCounts():
                        self._counts = report
                    case api.PlaneStarted():
                        self._since = asyncio.get_running_loop().time()
                        self._reports.add(report)
                    case _ if isinstance(report, api.Report):
                        self._reports.add(report)

    def _became_ready(self, ready: PlaneReady) -> None:
        self.ready = ready
        if ready.only_private and not self.config.is_local:
            log.warning("media.only_private", candidates=len(ready.candidates))
        for callback in self.on_ready:
            callback()
        self._known.set()


def _log_format(config: Config) -> str:
    return "json" if config.logging.format == "auto" else config.logging.format
