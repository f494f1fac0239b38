"""The STUN and TURN server. Awaits nothing, reads no clock, owns no socket."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

from media.turn import exchange as x
from media.turn.allocating import Allocating
from media.turn.answers import Answers
from media.turn.authentication import Authentication, Refusal
from media.turn.credentials import Credentials
from media.turn.nonces import Nonces
from media.turn.peers import Peers
from media.turn.relay import Relay
from media.turn.requests import Requests
from media.turn.settings import TurnSettings
from media.turn.tables import Tables
from media.wire import attributes as a
from media.wire.framing import is_channel
from media.wire.stun import ALLOCATE, BINDING, INDICATION, REQUEST, SEND, Malformed, Message, parse

_KNOWN = frozenset(
    {
        a.USERNAME, a.MESSAGE_INTEGRITY, a.MESSAGE_INTEGRITY_SHA256, a.REALM, a.NONCE, a.USERHASH,
        a.PASSWORD_ALGORITHM, a.CHANNEL_NUMBER, a.LIFETIME, a.XOR_PEER_ADDRESS, a.DATA,
        a.REQUESTED_ADDRESS_FAMILY, a.EVEN_PORT, a.REQUESTED_TRANSPORT, a.DONT_FRAGMENT,
        a.RESERVATION_TOKEN, a.PRIORITY, a.USE_CANDIDATE,
    }
)  # fmt: skip


class TurnServer:
    """`handle` takes one input, `tick` the passing of time; both answer what is to be done.
    `channel_data` and `from_peer` are the same for relayed packets, without an object for each.

    Args:
        settings: see there.
        random_bytes: a source of secrets, such as `os.urandom`.
        unix_at_zero: Unix seconds when `now` was 0: tickets expire by the calendar. To be set again
            where the calendar may have been corrected, or the machine slept.
    """

    def __init__(
        self,
        settings: TurnSettings,
        *,
        random_bytes: Callable[[int], bytes],
        unix_at_zero: float,
    ) -> None:
        seed = int.from_bytes(random_bytes(16), "big")
        self._tables = tables = Tables(settings, Random(seed))
        self.unix_at_zero = unix_at_zero
        self._credentials = Credentials(
            settings.realm, secrets=settings.secrets, users=settings.users,
            tickets=settings.tickets,
        )  # fmt: skip
        features = a.FEATURE_ALGORITHMS | (a.FEATURE_ANONYMITY if settings.anonymity else 0)
        nonces = Nonces(random_bytes(32), lifetime_s=settings.nonce_s, features=features)
        self._authentication = Authentication(settings.realm, self._credentials, nonces)
        peers = Peers(
            relays=settings.relays, own=settings.own, allowed=settings.allowed_peers,
            refused=settings.refused_peers, is_relay_port=tables.is_relay_port,
        )  # fmt: skip
        self._answers = Answers(tables)
        self._allocating = Allocating(tables, self._answers, random_bytes)
        self._requests = Requests(tables, self._answers, peers)
        self._relay = Relay(tables, peers, transaction_start=random_bytes(12))
        # Attributes, not methods: the relay path pays for every call.
        self.channel_data = self._relay.channel_data
        self.from_peer = self._relay.from_peer

    @property
    def drops(self) -> Counter[str]:
        """How often what was dropped or refused, by reason."""
        return self._tables.drops

    @property
    def allocations(self) -> int:
        return len(self._tables.flows)

    def holds(self, flow: x.Flow) -> bool:
        """Whether the flow has an allocation: an idle connection without one may be closed."""
        return flow in self._tables.flows

    def next_deadline(self) -> float | None:
        return self._tables.next_deadline()

    def tick(self, now: float) -> list[x.Output]:
        return self._tables.expire(now)

    def handle(self, given: x.Input, now: float) -> list[x.Output]:
        outputs = self._tables.expire(now)
        match given:
            case x.FromClient(flow, data):
                outputs += self._from_client(flow, data, now)
            case x.FromPeer(relay, peer, data):
                back = self.from_peer(relay, peer, data, now)
                outputs += [x.ToClient(*back)] if back is not None else []
            case x.RelaysOpened(relays):
                outputs += self._allocating.opened(relays, now)
            case x.RelaysRefused(relays):
                outputs += self._allocating.refused(relays, now)
            case x.FlowOpened(flow):
                self._answers.connected(flow)
            case x.FlowClosed(flow):
                outputs += self._flow_closed(flow, now)
            case x.TicketIssued(username):
                self._credentials.issued(username)
            case x.UserRevoked(user_id, tickets_until):
                if tickets_until:
                    self._credentials.revoked(user_id, tickets_until)
                outputs += self._tables.end_where(
                    lambda one: one.account.user_id == user_id, "revoked", now
                )
        return outputs

    def _flow_closed(self, flow: x.Flow, now: float) -> list[x.Output]:
        self._answers.disconnected(flow)
        allocation = self._tables.flows.get(flow)
        if allocation is not None:
            return self._tables.end(allocation, "connection_closed", now)
        return self._allocating.abandon(flow)

    def _from_client(self, flow: x.Flow, data: bytes, now: float) -> list[x.Output]:
        if data and is_channel(data[0]):
            out = self.channel_data(flow, data, now)
            return [x.ToPeer(*out)] if out is not None else []
        message = parse(data)
        if isinstance(message, Malformed):
            return self._tables.drop(f"stun_{message.reason}")
        if message.kind == INDICATION and message.method == SEND:
            out = self._relay.send(flow, message, now)
            fragment = a.DONT_FRAGMENT in message.attributes
            return [x.ToPeer(*out, dont_fragment=fragment)] if out is not None else []
        if message.kind != REQUEST:
            return self._tables.drop("not_a_request")
        return self._request(flow, message, now)

    def _request(self, flow: x.Flow, request: Message, now: float) -> list[x.Output]:
        method = request.method
        unknown = request.unknown(_KNOWN)
        if method == BINDING:
            if unknown:
                return self._answers.unknown_to_stranger(request, flow, unknown, now)
            return self._answers.mapped(request, flow, now)
        if method != ALLOCATE and not self._requests.knows(method):
            return self._tables.drop("method")
        allocation = self._tables.flows.get(flow)
        session = self._authentication.check(
            request, flow, now, unix_s=self.unix_at_zero + now,
            holder=allocation.account if allocation is not None else None,
        )  # fmt: skip
        if isinstance(session, Refusal):
            return self._answers.refuse_stranger(request, flow, session, now)
        if unknown:
            return self._answers.unknown(request, flow, session, unknown)
        if method == ALLOCATE:
            return self._allocating.start(request, flow, session, now)
        return self._requests.handle(request, flow, session, now)
