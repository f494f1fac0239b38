"""Facts to an address of the operator's, by POST (docs/protocol.md, "Webhook")."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence

from server.bus.handlers import GiveUp, Handler, Retry, Verdict
from server.kernel.clock import Clock
from server.kernel.ids import Ids, RandomIds
from server.kernel.json import encode
from server.kernel.logs import Secret
from server.kernel.outbound import Answer, NoAnswer
from storage.api import Fact

GROUP = "webhook"
LIMIT_S = 10.0
BATCH = 100
AT_ONCE = 2
LATER = frozenset({408, 425, 429})
"""4xx that ask for patience."""
ABOUT_THE_BODY = frozenset({400, 413, 415, 422})
"""4xx for which one of the facts may be to blame."""
LONGEST_WAIT_S = 3_600.0

Post = Callable[[str, bytes, Mapping[str, str]], Awaitable[Answer]]


class Webhook:
    """`post` raises NoAnswer, within its own limit of LIMIT_S."""

    def __init__(
        self, url: str, secret: Secret, *, post: Post, clock: Clock, ids: Ids | None = None
    ) -> None:
        self._url = url
        self._secret = secret
        self._post = post
        self._clock = clock
        self._ids = ids or RandomIds()

    def handler(self) -> Handler:
        return Handler(
            GROUP, ("*",), self.handle, batch=BATCH, at_once=AT_ONCE, limit_s=LIMIT_S + 2
        )

    async def handle(self, facts: Sequence[Fact]) -> Verdict:
        now_ms = self._clock.now_ms()
        body = encode({"facts": facts})
        delivery_id, at = self._ids.new(now_ms), str(now_ms // 1000)
        headers = {
            "Content-Type": "application/json",
            "X-Hubbub-Delivery": delivery_id,
            "X-Hubbub-Timestamp": at,
            "X-Hubbub-Signature": sign(self._secret, delivery_id, at, body),
        }
        try:
            return judge(await self._post(self._url, body, headers))
        except NoAnswer as failure:
            return Retry(str(failure))


def sign(secret: Secret, delivery_id: str, timestamp: str, body: bytes) -> str:
    """Over `<id>.<timestamp>.<body>`, so that none of them can be exchanged or sent again later."""
    signed = f"{delivery_id}.{timestamp}.".encode() + body
    digest = hmac.new(secret.reveal().encode(), signed, hashlib.sha256).hexdigest()
    return f"sha256={digest}"


def judge(answer: Answer) -> Verdict:
    """2xx: done. 4xx: never, but for those that ask for patience. All else, redirects too: later.

    A refusal that may be due to one fact is no verdict on the others of its batch.
    """
    status = answer.status
    if 200 <= status < 300:
        return None
    if 400 <= status < 500 and status not in LATER:
        return GiveUp(f"status {status}", each=status not in ABOUT_THE_BODY)
    return Retry(f"status {status}", min(answer.retry_after_s, LONGEST_WAIT_S))
