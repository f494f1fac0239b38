"""The long-term credential mechanism: RFC 8489, section 9.2.4, step by step."""

from __future__ import annotations

from dataclasses import dataclass, field

from media.turn.credentials import Account, Credentials
from media.turn.exchange import Flow
from media.turn.nonces import Nonces
from media.wire import attributes as a
from media.wire.stun import Attribute, Message

_CODES = {400: "Bad Request", 401: "Unauthorized", 438: "Stale Nonce"}


@dataclass(frozen=True, slots=True)
class Session:
    """A request that proved its credential; the answer is signed in the same way."""

    account: Account
    key: bytes = field(repr=False)
    sha256: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """`why` is for a counter, code and reason for the client; a challenge comes with some."""

    code: int
    why: str
    attributes: tuple[Attribute, ...] = ()

    @property
    def reason(self) -> str:
        return _CODES[self.code]


class Authentication:
    """Tells who sent a request, or how to refuse it."""

    def __init__(self, realm: str, credentials: Credentials, nonces: Nonces) -> None:
        self._realm = realm
        self._credentials = credentials
        self._nonces = nonces

    def check(
        self, request: Message, flow: Flow, now: float, *, unix_s: float, holder: Account | None
    ) -> Session | Refusal:
        """`holder` is the account of the flow's allocation: its credential stays good for it, also
        past its expiry, so that a long call is not cut.
        """
        # 1. Neither MESSAGE-INTEGRITY nor MESSAGE-INTEGRITY-SHA256: a challenge.
        if not request.has_sha1 and not request.has_sha256:
            return self._challenge(401, "no_integrity", flow, now)
        # 2. Integrity without USERNAME or USERHASH, REALM or NONCE.
        username, hashed = request.get(a.USERNAME), request.get(a.USERHASH)
        realm, nonce = request.get(a.REALM), request.get(a.NONCE)
        if (username is None and hashed is None) or realm is None or nonce is None:
            return Refusal(400, "incomplete_credential")
        # 3. The algorithms that we announced must come back unchanged (a bid-down shows here).
        algorithm = _algorithm(request)
        if algorithm is None:
            return Refusal(400, "algorithms")
        # 4. A nonce that is not, or no longer, good.
        verdict = self._nonces.check(nonce, flow, now)
        if verdict != "good":
            return self._challenge(438, f"nonce_{verdict}", flow, now)
        # 5. An unknown user, 6. a wrong password: the same challenge.
        if realm != self._realm.encode():
            return self._challenge(401, "realm", flow, now)
        name = self._credentials.name_of(username, hashed)
        for account in self._candidates(name, unix_s, holder):
            session = self._prove(request, account, algorithm)
            if session is not None:
                return session
        return self._challenge(401, "credential", flow, now)

    def _candidates(
        self, name: str | None, unix_s: float, holder: Account | None
    ) -> tuple[Account, ...]:
        if name is None:
            return ()
        if holder is not None and holder.username == name:
            return (holder,)
        return self._credentials.accounts(name, unix_s)

    def _prove(self, request: Message, account: Account, algorithm: int) -> Session | None:
        key = a.long_term_key(
            algorithm, username=account.username, realm=self._realm, password=account.password
        )
        if request.has_sha256:
            return Session(account, key, True) if request.proves_sha256(key) else None
        return Session(account, key, False) if request.proves_sha1(key) else None

    def _challenge(self, code: int, why: str, flow: Flow, now: float) -> Refusal:
        return Refusal(
            code,
            why,
            (
                (a.REALM, self._realm.encode()),
                (a.NONCE, self._nonces.issue(flow, now)),
                (a.PASSWORD_ALGORITHMS, a.ALGORITHMS),
            ),
        )


def _algorithm(request: Message) -> int | None:
    """The one that made the key: MD5 for a client that names none; None: contradictory."""
    announced, chosen = request.get(a.PASSWORD_ALGORITHMS), request.get(a.PASSWORD_ALGORITHM)
    if announced is None and chosen is None:
        return a.MD5
    if announced != a.ALGORITHMS or chosen is None:
        return None
    algorithm = a.decode_algorithm(chosen)
    return algorithm if algorithm in (a.MD5, a.SHA256) else None
