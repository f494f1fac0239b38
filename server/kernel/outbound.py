"""Calls by HTTP to addresses of the operator's own configuration: bounded, no redirects, nothing of
the answer kept but its status. Addresses that users name need a guard against SSRF as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

CONNECTIONS = 8
HEAD_BYTES = 8_190
BODY_BYTES = 65_536
"""An answer that is not longer is read, so that its connection can be used again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`retry_after_s`: of the header of that name, if it is a number of seconds; else 0."""

    status: int
    retry_after_s: float = 0.0


class NoAnswer(Exception):
    """Nobody answered; the text says how and names no address."""


class Outbound:
    """`close` it. `limit_s`: for a whole call, from connecting to the end of what is read."""

    def __init__(self, *, limit_s: float) -> None:
        self._limit_s = limit_s
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Raises NoAnswer."""
        session = self._session = self._session or self._open()
        try:
            async with session.post(
                url, data=body, headers=headers, allow_redirects=False
            ) as response:
                ended = await _read(response.content)
                if not ended:
                    response.close()
                return Answer(response.status, _seconds(response.headers.get("Retry-After", "")))
        except TimeoutError:
            raise NoAnswer("no answer in time") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NoAnswer(f"no answer: {type(error).__name__}") from None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS),
            timeout=aiohttp.ClientTimeout(total=self._limit_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            max_line_size=HEAD_BYTES,
            max_field_size=HEAD_BYTES,
            headers={"User-Agent": "hubbub"},
        )


async def _read(content: aiohttp.StreamReader) -> bool:
    """Whether it ended within the bound."""
    left = BODY_BYTES
    while left > 0 and not content.at_eof():
        left -= len(await content.read(left))
    return content.at_eof()


def _seconds(text: str) -> float:
    return float(text) if text.isdecimal() and len(text) < 6 else 0.0
