"""Answers to requests, signed for those who proved a credential, few and small for strangers."""

from __future__ import annotations

from collections.abc import Sequence

from media.turn.authentication import Refusal, Session
from media.turn.exchange import Flow, Output, ToClient
from media.turn.tables import Tables
from media.wire import attributes as a
from media.wire.addresses import encode_xor, owner_of
from media.wire.stun import ERROR, SUCCESS, Attribute, Message, build
from server.kernel.limits import Windows

_MOST_UNKNOWN = 8
"""Unknown attributes that an answer lists; a request can have thousands."""
STRANGER_BYTES = 160

_REASONS = {
    400: "Bad Request", 403: "Forbidden", 420: "Unknown Attribute", 437: "Allocation Mismatch",
    440: "Address Family not Supported", 441: "Wrong Credentials",
    442: "Unsupported Transport Protocol", 443: "Peer Address Family Mismatch",
    486: "Allocation Quota Reached", 508: "Insufficient Capacity",
}  # fmt: skip


class Answers:
    """Builds responses and keeps count of those to strangers."""

    def __init__(self, tables: Tables) -> None:
        settings = tables.settings
        self._tables = tables
        self._strangers = Windows(settings.stranger_per_s, max_keys=settings.strangers)
        self._connections: dict[Flow, bool] = {}
        """Whether the next answer is the first."""

    def connected(self, flow: Flow) -> None:
        self._connections[flow] = True

    def disconnected(self, flow: Flow) -> None:
        self._connections.pop(flow, None)

    def mapped(self, request: Message, flow: Flow, now: float) -> list[Output]:
        """Answers a Binding request: the client's own address."""
        attributes = [(a.XOR_MAPPED_ADDRESS, encode_xor(flow[1], request.transaction))]
        return self._to_stranger(request, flow, SUCCESS, attributes, now)

    def refuse_stranger(
        self, request: Message, flow: Flow, refusal: Refusal, now: float
    ) -> list[Output]:
        self._tables.drops[f"refused_{refusal.why}"] += 1
        code = (a.ERROR_CODE, a.encode_error(refusal.code, refusal.reason))
        return self._to_stranger(request, flow, ERROR, [code, *refusal.attributes], now)

    def unknown_to_stranger(
        self, request: Message, flow: Flow, unknown: list[int], now: float
    ) -> list[Output]:
        return self._to_stranger(request, flow, ERROR, _unknown(unknown), now)

    def accept(
        self, request: Message, flow: Flow, session: Session, attributes: Sequence[Attribute] = ()
    ) -> ToClient:
        return ToClient(flow, _signed(request, SUCCESS, attributes, session))

    def refuse(
        self, request: Message, flow: Flow, session: Session, code: int, why: str
    ) -> list[Output]:
        self._tables.drops[f"refused_{why}"] += 1
        attributes = [(a.ERROR_CODE, a.encode_error(code, _REASONS[code]))]
        return [ToClient(flow, _signed(request, ERROR, attributes, session))]

    def unknown(
        self, request: Message, flow: Flow, session: Session, unknown: list[int]
    ) -> list[Output]:
        self._tables.drops["refused_unknown_attribute"] += 1
        return [ToClient(flow, _signed(request, ERROR, _unknown(unknown), session))]

    def _to_stranger(
        self,
        request: Message,
        flow: Flow,
        kind: int,
        attributes: Sequence[Attribute],
        now: float,
    ) -> list[Output]:
        if not self._may_answer(flow, now):
            return self._tables.drop("stranger_rate")
        fingerprint = a.FINGERPRINT in request.attributes
        message = build(
            request.method | kind, request.transaction, attributes, fingerprint=fingerprint
        )
        return [ToClient(flow, message)]

    def _may_answer(self, flow: Flow, now: float) -> bool:
        """The rate is against forged sources and for those who ask again. Neither is on a
        connection: there the first answer always comes, and whatever concerns an allocation.
        """
        within = self._strangers.take(owner_of(flow[1][0]), now)
        if flow not in self._connections:
            return within
        first, self._connections[flow] = self._connections[flow], False
        return within or first or flow in self._tables.flows


def failure(code: int) -> bytes:
    """The value of an ERROR-CODE, or behind a family an ADDRESS-ERROR-CODE."""
    return a.encode_error(code, _REASONS[code])


def _signed(
    request: Message, kind: int, attributes: Sequence[Attribute], session: Session
) -> bytes:
    return build(
        request.method | kind, request.transaction, attributes, key=session.key,
        sha256=session.sha256, fingerprint=a.FINGERPRINT in request.attributes,
    )  # fmt: skip


def _unknown(unknown: list[int]) -> list[Attribute]:
    listed = b"".join(number.to_bytes(2, "big") for number in unknown[:_MOST_UNKNOWN])
    return [
        (a.ERROR_CODE, a.encode_error(420, _REASONS[420])),
        (a.UNKNOWN_ATTRIBUTES, listed),
    ]
