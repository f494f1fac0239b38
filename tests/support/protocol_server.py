"""Runs one of the product's protocol layers alone, for suites from outside.

python -m tests.support.protocol_server --mode engineio|echo|socketio|room --port N
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import importlib.util
import signal

import uvloop

from tests.support.protocol_modes import MODES

if importlib.util.find_spec("tests.support.protocol_modes_socketio") is not None:
    importlib.import_module("tests.support.protocol_modes_socketio")  # adds its modes to MODES


async def run(mode: str, host: str, port: int) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    bound, stop = await MODES[mode](host, port)
    print(f"listening on http://{host}:{bound}", flush=True)
    await stopping.wait()
    await stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", choices=sorted(MODES), required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    chosen = parser.parse_args()
    uvloop.run(run(chosen.mode, chosen.host, chosen.port))


if __name__ == "__main__":
    main()
