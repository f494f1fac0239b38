"""`serve` and `dev`: a process under uvloop, or several on one port, until a signal ends it."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from collections.abc import Awaitable, Callable

import msgspec

from server.cli import workers
from server.cli.terms import Refused, complain, say
from server.compose import Server
from server.kernel.config import Config
from server.kernel.errors import AppError
from server.kernel.logs import configure_logs

Started = Callable[[Server], Awaitable[None]]


def serve(config: Config) -> int:
    """Print the address when listening, and at the first start the administrator's link. Returns
    the exit code.
    """
    if config.cluster.workers > 1:
        return _serve_by_workers(config)

    async def started(server: Server) -> None:
        say("\n".join(await _greeting(server)))
        line = await _call_line(server)
        if line:
            say(line)

    _run(config, started)
    return 0


async def _call_line(server: Server) -> str:
    """Which ports are to be open for calls, or why there are none."""
    calling, media = server.calling, server.calling.media
    if media is None:
        missing = server.config.media.enabled and not calling.is_installed
        return "Calls only without relay: install hubbub[calls]." if missing else ""
    await media.known()
    if media.ready is None:
        why = media.refused or "it does not start"
        return (
            f"The media port could not be opened ({why}): calls have no relay. Try hubbub doctor."
        )
    tcp = f" and TCP port {media.ready.tcp_port}" if media.ready.tcp_port else ""
    return f"Calls use UDP port {media.ready.port}{tcp}."


async def _greeting(server: Server) -> list[str]:
    lines = [f"Hubbub is listening on {server.url}"]
    link = await server.first_admin_link()
    if link is not None:
        lines.append(f"The first administrator signs up here, once: {link}")
    return lines


def _serve_by_workers(config: Config) -> int:
    configure_logs(config.logging.level, config.logging.format)
    try:
        held = workers.hold_port(config.server.host, config.server.port)
    except OSError as error:
        raise _explain(error, config) from None
    port = held[0].getsockname()[1]
    # Each worker binds the same one, also when a free one was asked for.
    config = msgspec.structs.replace(
        config, server=msgspec.structs.replace(config.server, port=port)
    )

    def work(place: workers.Place) -> int:
        async def started(server: Server) -> None:
            place.ready(*(await _greeting(server) if place.number == 1 else ()))

        try:
            _run(config, started, place=place)
        except Refused as refused:
            complain(str(refused))
            return 1
        except AppError as refused:
            complain(refused.text)
            return 1
        return 0

    parent = workers.Parent(
        config.cluster.workers, workers.private_folder(port), work=work,
        started=lambda lines: say("\n".join(lines)), drain_s=config.server.drain_s,
    )  # fmt: skip
    return parent.run()


def dev(config: Config) -> None:
    """Make Alice, Bob and the echo bot, and print a link for each of the two."""
    from server.cli import demo

    # On one's own machine everybody may find everybody.
    everybody = msgspec.structs.replace(config.server, directory=True)
    config = msgspec.structs.replace(config, server=everybody)
    if config.logging.level == "info":  # two links to click, not lost among log lines
        quiet = msgspec.structs.replace(config.logging, level="warning")
        config = msgspec.structs.replace(config, logging=quiet)

    async def started(server: Server) -> None:
        say(f"Hubbub is listening on {server.url}")
        await demo.start(server)

    _run(config, started, stop=demo.stop)


def _run(
    config: Config,
    started: Started,
    *,
    stop: Callable[[], Awaitable[None]] | None = None,
    place: workers.Place | None = None,
) -> None:
    import uvloop

    configure_logs(config.logging.level, config.logging.format)

    async def life() -> None:
        ended = _signals(None if place is None else place.lifeline)
        server = Server(
            config, workers_folder=None if place is None else place.folder,
            with_media=place is None or place.number == 1,
        )  # fmt: skip
        try:
            await server.start()
        except OSError as error:
            await server.close()
            raise _explain(error, config) from None
        try:
            await started(server)
            await ended.wait()
        finally:
            if stop is not None:
                await stop()
            await server.close()

    uvloop.run(life())


def _signals(lifeline: int | None) -> asyncio.Event:
    """The first signal sets the event, the second ends the process at once. So does the end of the
    parent, seen on `lifeline`: once.
    """
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def signalled() -> None:
        if ended.is_set():
            complain("ended at once")
            os._exit(1)
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signalled)
    if lifeline is not None:

        def orphaned() -> None:
            loop.remove_reader(lifeline)
            ended.set()

        loop.add_reader(lifeline, orphaned)
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
