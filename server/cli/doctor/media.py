"""Whether this server relays calls, and if so the examination of that (`calls`)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

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
    # Its libraries come with the extra.
    from server.cli.doctor import calls

    try:
        yield from asyncio.run(asyncio.wait_for(calls.placed(config, runs=runs), EXAMINATION_S))
    except TimeoutError:
        yield wrong("calls", f"not done after {EXAMINATION_S:.0f} s", "Is this machine very busy?")
