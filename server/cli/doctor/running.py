"""The media process of the Hubbub that runs: asked by STUN and TURN, and left alone otherwise."""

from __future__ import annotations

from media.connections import PlaneReady
from media.ice.candidates import Candidate
from media.peer.carriers import open_datagrams
from media.peer.connection import ask_address
from media.peer.steps import Failed
from media.planes.settings import PlaneSettings, local_hosts
from server.cli.doctor.findings import Finding, ok, stopwatch, wrong
from server.cli.doctor.ports import NAME, shown
from server.compose import open_store
from server.kernel.config import Config
from server.kernel.logs import Secret
from signaling.wiring import turn_secret

NOTE = "The calls below go to a media process of the doctor's own, on free ports."


async def answers(settings: PlaneSettings, where: str) -> Finding:
    """Whether STUN does. `where`: the port that is in use."""
    host, port = local_hosts(settings.hosts)[0], settings.port
    try:
        with stopwatch() as watch:
            carrier = await open_datagrams((host, port))
            try:
                await ask_address(carrier)
            finally:
                carrier.close()
    except Failed as failed:
        why = failed.detail or "no answer"
        advice = "What does the running Hubbub log of media? Is there a firewall on this machine? "
        return wrong(NAME, f"{where} is in use; STUN at {shown(host, port)}: {why}", advice + NOTE)
    return ok(NAME, f"{where} is in use; STUN there answers in {watch.ms:.0f} ms. {NOTE}")


def as_configured(settings: PlaneSettings) -> PlaneReady:
    """Where it listens, if it got the ports that it wants."""
    hosts = local_hosts(settings.hosts)
    lines = tuple(Candidate(host, settings.port).line() for host in hosts)
    tcp_port = settings.tcp_port or None
    return PlaneReady("", lines, hosts=tuple(hosts), port=settings.port, tcp_port=tcp_port)


async def secret_of(config: Config) -> Secret:
    """What it signs TURN tickets with. Raises AppError."""
    if config.media.ice_secret:
        return Secret(config.media.ice_secret)
    store = await open_store(config, beside=True)
    try:
        return await turn_secret(store)
    finally:
        await store.close()
