"""The part as compose sees it: `build` makes one `AccountsPart`, to which `routes` is bound."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from server.accounts.authentication import Authenticator
from server.accounts.hashing import PasswordWork
from server.accounts.keys import load_keys
from server.accounts.limits import AttemptLimits
from server.accounts.links import LoginLinks
from server.accounts.login import Login
from server.accounts.operator import Operator
from server.accounts.people import People
from server.accounts.second_factor import SecondFactor
from server.accounts.sessions import SessionOutlet, Sessions, Silent
from server.accounts.shapes import ServerInfo, ServerLimits
from server.accounts.signup import SignUps
from server.kernel.clock import Clock, System
from server.kernel.config import Config
from server.kernel.events import Context
from server.kernel.ids import Ids, RandomIds
from storage.api import SharedLimits, Store

FEATURES = ("totp", "password_change", "invites", "login_links", "devices")


@dataclass
class AccountsPart:
    """Each member has one purpose; handlers and the command line pick what they need.

    `announced`: in a cluster, what all nodes offer.
    """

    config: Config
    clock: Clock
    work: PasswordWork
    authenticator: Authenticator
    sessions: Sessions
    sign_ups: SignUps
    login: Login
    second_factor: SecondFactor
    people: People
    operator: Operator
    attempts: AttemptLimits
    features: tuple[str, ...]
    announced: Callable[[], Sequence[str]] | None = None

    def authenticate(self, token: str) -> Context | Awaitable[Context]:
        """See Authenticator.authenticate."""
        return self.authenticator.authenticate(token)

    def attach_outlet(self, outlet: SessionOutlet) -> None:
        """From now on the sockets of ended sessions are told and closed."""
        self.sessions.outlet = outlet

    def share_limits(self, limits: SharedLimits) -> None:
        """From now on attempts are counted over all nodes of the cluster."""
        self.attempts.shared = limits

    async def first_admin_link(self, base_url: str) -> str | None:
        """See SignUps.first_admin_link."""
        return await self.sign_ups.first_admin_link(base_url)

    def server_info(self) -> ServerInfo:
        limits = self.config.limits
        return ServerInfo(
            program_version(), list(self.announced() if self.announced else self.features),
            ServerLimits(
                limits.packet_bytes, limits.text_chars, limits.send_per_s, limits.send_burst,
                limits.signup_per_h, limits.connect_per_s, limits.file_bytes,
            ),
            self.config.registration, self.clock.now_ms(),  # type: ignore[arg-type]
        )  # fmt: skip

    def close(self) -> None:
        self.work.close()


async def build(
    config: Config,
    store: Store,
    *,
    outlet: SessionOutlet | None = None,
    clock: Clock | None = None,
    ids: Ids | None = None,
    features: Sequence[str] = (),
) -> AccountsPart:
    """Load the server's keys (made at the first start) and put the part together.

    Args:
        outlet: the hub; may also be attached later. Without one no socket is told.
        features: names that other parts offer, for `GET /api/v1/server`.
    """
    clock, ids = clock or System(), ids or RandomIds()
    keys = await load_keys(store.accounts)
    work = PasswordWork()
    limits = AttemptLimits(config.limits, clock)
    links = LoginLinks(clock)
    authenticator = Authenticator(store.accounts, keys, clock)
    sessions = Sessions(
        store.accounts, keys, authenticator, clock=clock, ids=ids, lifetimes=config.accounts,
        outlet=outlet or Silent(),
    )  # fmt: skip
    second_factor = SecondFactor(store.accounts, keys, clock)
    sign_ups = SignUps(
        store.accounts, work, keys, sessions, config=config, limits=limits, clock=clock, ids=ids
    )
    login = Login(
        store.accounts, work, limits=limits, second_factor=second_factor, sessions=sessions,
        links=links,
    )  # fmt: skip
    operator = Operator(store.accounts, work, sign_ups=sign_ups, sessions=sessions, links=links)
    directory = config.server.directory
    people = People(store.accounts, store.projections, directory=directory)
    own = (*FEATURES, "directory") if directory else FEATURES
    return AccountsPart(
        config, clock, work, authenticator, sessions, sign_ups, login, second_factor, people,
        operator, limits, (*own, *features),
    )  # fmt: skip


def program_version() -> str:
    try:
        return version("hubbub")
    except PackageNotFoundError:
        return "0"
