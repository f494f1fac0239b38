"""The servers behind the configured shape: each reached, and able to write."""

from __future__ import annotations

import time

from server.cli.doctor.findings import Finding, ok, wrong
from server.compose import open_store
from server.compose.cluster import new_node_id
from server.compose.stores import open_files, open_shared
from server.kernel.clock import System
from server.kernel.config import Config
from server.kernel.errors import AppError
from storage.api import Check, Files, Shared, Store


async def answer(config: Config) -> list[Finding]:
    findings: list[Finding] = []
    opened: list[Store | Shared | Files] = []
    node_id, clock = new_node_id(), System()
    for name, opening in (
        (config.store.log, open_store(config)),
        ("redis", open_shared(config, node_id, clock)),
        (config.store.files, open_files(config, clock)),
    ):
        try:
            part = await opening
        except AppError as error:
            findings.append(wrong(name, error.text, f"Look at [{name}] and its server."))
            continue
        if part is not None:
            opened.append(part)
    for part in opened:
        findings += [await _checked(name, check) for name, check in part.checks.items()]
        await part.close()
    return findings


async def _checked(name: str, check: Check) -> Finding:
    started = time.monotonic()
    try:
        await check()
    except AppError as error:
        return wrong(name, error.text, f"Look at [{name}] and its server.")
    return ok(name, f"answers in {(time.monotonic() - started) * 1000:.0f} ms")
