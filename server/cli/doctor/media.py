"""Whether this server relays calls, and if so the examination of that (`calls`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from server.cli.doctor import relays
from server.cli.doctor.findings import Finding, ok, warn, wrong
from server.compose.media import is_installed
from server.kernel.config import Config

EXAMINATION_S = 18.0


def examined(config: Config, *, runs: bool) -> Iterator[Finding]:
    """`runs`: Hubbub answers on the configured HTTP port."""
    if not config.media.enabled:
        yield ok("media", "calls are switched off (media.enabled)")
        return
    if not is_installed():
        advice = (
            "Devices behind strict routers cannot call each other. Install the extra:"
            " pip install 'hubbub[calls]'"
        )
        yield warn("media", "no relay, no group calls: libraries are missing", advice)
        return
    yield from relays.expected(config.media)
    found: list[Finding] = []
    try:
        asyncio.run(asyncio.wait_for(_called(config, found.append, runs=runs), EXAMINATION_S))
    except TimeoutError:
        late = f"not done after {EXAMINATION_S:.0f} s"
        found.append(wrong("calls", late, "Is this machine very busy?"))
    yield from found


async def _called(config: Config, tell: Callable[[Finding], None], *, runs: bool) -> None:
    """Each finding at once: what is known by the time limit is told."""
    # Its libraries come with the extra.
    from server.cli.doctor import calls

    async for finding in calls.placed(config, runs=runs):
        tell(finding)
