"""Lua scripts: sent by their hash, and whole to a server that does not know them yet."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from redis.exceptions import NoScriptError

from storage.redis.commands import RedisCommands

Argument = str | bytes | int | float


class Script:
    """All `keys` of a run must live in one slot of a Cluster."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    async def run(
        self, commands: RedisCommands, keys: Sequence[str], arguments: Sequence[Argument]
    ) -> Any:
        return await commands.call(self._run(commands, (len(keys), *keys, *arguments)))

    async def run_each(
        self, commands: RedisCommands, runs: Sequence[tuple[str, Sequence[Argument]]]
    ) -> list[Any]:
        """One run for each key, in one round trip to each server."""
        return await commands.call(self._run_each(commands, runs))

    async def _run(self, commands: RedisCommands, words: tuple[Argument, ...]) -> Any:
        try:
            return await commands.client.execute_command("EVALSHA", self.sha, *words)
        except NoScriptError:
            return await commands.client.execute_command("EVAL", self.text, *words)

    async def _run_each(
        self, commands: RedisCommands, runs: Sequence[tuple[str, Sequence[Argument]]]
    ) -> list[Any]:
        pipeline = commands.client.pipeline(transaction=False)
        for key, arguments in runs:
            pipeline.execute_command("EVALSHA", self.sha, 1, key, *arguments)
        replies: list[Any] = await pipeline.execute(raise_on_error=False)
        for index, reply in enumerate(replies):
            if isinstance(reply, NoScriptError):
                key, arguments = runs[index]
                replies[index] = await self._run(commands, (1, key, *arguments))
            elif isinstance(reply, Exception):
                raise reply
        return replies
