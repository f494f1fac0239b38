"""`serve` and `dev`: one process under uvloop until a signal ends it."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from collections.abc import Awaitable, Callable

from server.cli.terms import Refused, complain, say
from server.compose import Server
from server.kernel.config import Config
from server.kernel.logs import configure_logs

Started = Callable[[Server], Awaitable[None]]


def serve(config: Config) -> None:
    """Print the address when listening, and at the first start the administrator's link."""

    async def started(server: Server) -> None:
        link = await server.first_admin_link()
        if link is not None:
            say(f"The first administrator signs up here, once: {link}")

    _run(config, started)


def dev(config: Config) -> None:
    """Make Alice, Bob and the echo bot, and print a link for each of the two."""
    import msgspec

    from server.cli import demo

    # On one's own machine everybody may find everybody.
    everybody = msgspec.structs.replace(config.server, directory=True)
    config = msgspec.structs.replace(config, server=everybody)
    if config.logging.level == "info":  # two links to click, not lost among log lines
        quiet = msgspec.structs.replace(config.logging, level="warning")
        config = msgspec.structs.replace(config, logging=quiet)
    _run(config, demo.start, stop=demo.stop)


def _run(
    config: Config, started: Started, *, stop: Callable[[], Awaitable[None]] | None = None
) -> None:
    import uvloop

    configure_logs(config.logging.level, config.logging.format)

    async def life() -> None:
        ended = _signals()
        server = Server(config)
        try:
            await server.start()
        except OSError as error:
            await server.close()
            raise _explain(error, config) from None
        try:
            say(f"Hubbub is listening on {server.url}")
            await started(server)
            await ended.wait()
        finally:
            if stop is not None:
                await stop()
            await server.close()

    uvloop.run(life())


def _signals() -> asyncio.Event:
    """The first signal sets the event, the second ends the process at once."""
    ended = asyncio.Event()

    def signalled() -> None:
        if ended.is_set():
            complain("ended at once")
            os._exit(1)
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, signalled)
    return ended


def _explain(error: OSError, config: Config) -> Refused:
    where = f"{config.server.host}:{config.server.port}"
    if error.errno == errno.EADDRINUSE:
        return Refused(
            f"{where} is in use by another program. Stop it, or choose another port: --port 0 "
            "takes a free one."
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return Refused(f"This machine has no address {config.server.host}. Check --host.")
    if error.errno == errno.EACCES:
        return Refused(f"{where} may not be used by this user. Ports below 1024 need rights.")
    return Refused(f"{where}: {error.strerror or error}")
