"""Configuration: one TOML file, an environment overlay, defaults that are safe. Unknown keys are
errors.

`HUBBUB_LIMITS__SIGNUP_PER_H=1000` sets `[limits] signup_per_h`; two underscores part the levels.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec


class ConfigError(Exception):
    """The configuration cannot be used; the text names the key and what to write instead."""


class Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host: str = "127.0.0.1"
    port: int = 8008
    data: str = "./data"
    public_url: str = ""
    registration: Literal["auto", "open", "invite", "closed"] = "auto"
    """auto: open on loopback (unless a proxy makes it public), invite elsewhere."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks whose X-Forwarded-For is believed."""
    allowed_origins: tuple[str, ...] = ()
    """Web origins besides our own that may call; ("*",): all."""
    directory: bool = False
    """True: user search covers everybody, not only people one shares a room with."""
    metrics_public: bool = False
    """True: /metrics answers everybody, not only loopback and trusted proxies."""
    drain_s: float = 10.0


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds of DESIGN section 7. Rates of 0 mean: no limit."""

    packet_bytes: int = 262_144
    max_payload_bytes: int = 1_000_000
    text_chars: int = 16_384
    send_per_s: float = 20.0
    send_burst: int = 60
    event_per_s: float = 100.0
    event_burst: int = 300
    login_fail_per_min: int = 10
    signup_per_h: int = 20
    http_per_s: float = 50.0
    http_burst: int = 200
    connect_per_s: float = 5.0
    connect_address_per_s: float = 200.0
    outbox_bytes: int = 1_048_576
    unauthenticated_s: float = 10.0
    request_head_s: float = 10.0
    request_body_s: float = 30.0
    head_bytes: int = 16_384
    file_bytes: int = 2 * 1024**3
    rooms_per_user: int = 10_000
    group_members: int = 100_000
    sockets_per_user: int = 100
    pending_per_socket: int = 512
    """Events of one socket that may wait for their acknowledgement at once."""


class Hub(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ping_interval_s: float = 25.0
    ping_timeout_s: float = 20.0
    merge_ms: float = 2.0


class Log(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    dedup_days: int = 30
    retention_days: int = 0
    """Content older than this is blanked; 0: kept for ever."""


class Presence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    away_after_s: float = 300.0
    offline_after_s: float = 5.0


class Accounts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    access_token_s: int = 900
    refresh_token_s: int = 90 * 86_400


class Logging(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class Store(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where things are kept. sqlite and folder: in `server.data`, by one process."""

    log: Literal["sqlite", "postgres", "cassandra"] = "sqlite"
    files: Literal["folder", "s3"] = "folder"


class Postgres(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host: str = "127.0.0.1"
    """A name, an address, or the folder of a Unix socket; several hosts with commas: the primary
    among them is found.
    """
    port: int = 5432
    user: str = "hubbub"
    password: str = ""
    database: str = "hubbub"
    tls: Literal["off", "on", "verify"] = "off"
    ca_file: str = ""
    pool: int = 6
    """Connections of each process."""
    limit_s: float = 5.0
    """How long one call may take."""


class Cassandra(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    hosts: tuple[str, ...] = ("127.0.0.1",)
    port: int = 9042
    user: str = ""
    password: str = ""
    keyspace: str = "hubbub"
    datacenter: str = "datacenter1"
    replication: int = 3
    """Copies of each row, when the keyspace is made."""
    tls: Literal["off", "on", "verify"] = "off"
    ca_file: str = ""
    limit_s: float = 5.0


class Redis(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host: str = "127.0.0.1"
    port: int = 6379
    user: str = ""
    password: str = ""
    database: int = 0
    tls: Literal["off", "on", "verify"] = "off"
    ca_file: str = ""
    sentinels: tuple[str, ...] = ()
    """`host:port` of each; `sentinel_name` then says which primary; host and port are unused."""
    sentinel_name: str = "hubbub"
    sentinel_password: str = ""
    cluster: bool = False
    """True: host and port are those of any node of a Redis Cluster."""
    prefix: str = "hubbub"
    """Before each key and channel, so that several servers may share one Redis."""
    limit_s: float = 2.0


class S3(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    endpoint: str = "127.0.0.1:9000"
    access_key: str = ""
    secret_key: str = ""
    bucket: str = "hubbub"
    region: str = "us-east-1"
    tls: Literal["off", "on", "verify"] = "off"
    ca_file: str = ""
    public_endpoint: str = ""
    """What presigned addresses name, when browsers reach the store elsewhere than we do."""
    limit_s: float = 10.0


Role = Literal["all", "hub", "api", "worker"]


class Cluster(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    roles: tuple[Role, ...] = ("all",)
    workers: int = 1
    """Processes on this machine that share the port."""
    beat_s: float = 2.0
    dead_after_s: float = 6.0
    """A node that was not heard of for this long is dead: its users go offline."""


class Bus(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    webhook_url: str = ""
    """Facts go here as JSON by POST, at least once."""
    webhook_secret: str = ""
    """Signs them: `X-Hubbub-Signature` (docs/protocol.md, "Webhook")."""
    attempts: int = 8
    """After this many a fact goes to the dead letters."""
    waiting: int = 1_000_000
    """Facts that may wait for one group; past it the oldest go to the dead letters."""
    dead: int = 100_000
    """Dead letters in all; past it the oldest are lost."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    server: Server = Server()
    limits: Limits = Limits()
    hub: Hub = Hub()
    log: Log = Log()
    presence: Presence = Presence()
    accounts: Accounts = Accounts()
    logging: Logging = Logging()
    store: Store = Store()
    postgres: Postgres = Postgres()
    cassandra: Cassandra = Cassandra()
    redis: Redis = Redis()
    s3: S3 = S3()
    cluster: Cluster = Cluster()
    bus: Bus = Bus()

    @property
    def clustered(self) -> bool:
        """Several processes may have the stores: PostgreSQL and Redis are there."""
        return self.store.log != "sqlite"

    def has_role(self, role: Role) -> bool:
        return "all" in self.cluster.roles or role in self.cluster.roles

    @property
    def on_loopback(self) -> bool:
        return is_loopback(self.server.host)

    @property
    def registration(self) -> str:
        if self.server.registration != "auto":
            return self.server.registration
        alone = self.on_loopback and not self.server.public_url and not self.server.trusted_proxies
        return "open" if alone else "invite"


SECRET_KEYS = frozenset({"password", "secret_key", "sentinel_password", "webhook_secret"})
"""Values that are never shown."""

NO_LIMITS: Mapping[str, Any] = {
    "send_per_s": 0, "event_per_s": 0, "login_fail_per_min": 0, "signup_per_h": 0, "http_per_s": 0,
    "connect_per_s": 0, "connect_address_per_s": 0, "sockets_per_user": 0, "pending_per_socket": 0,
}  # fmt: skip
"""What `--limits off` sets (loopback only): rates and counts go, sizes stay."""


def load_config(
    path: Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Config:
    """Read the file (if any), lay the environment and then `overrides` ({"server": {"port": 1}})
    over it.

    Raises:
        ConfigError: unreadable file, unknown key (with the nearest known one), wrong type or value.
    """
    tree: dict[str, Any] = {}
    if path is not None:
        try:
            tree = tomllib.loads(path.read_text("utf-8"))
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: is not TOML: {error}") from None
    _overlay(tree, _from_environment(os.environ if environ is None else environ))
    _overlay(tree, dict(overrides or {}))
    _check_names(tree)
    try:
        config = msgspec.convert(tree, Config, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"configuration: {error}") from None
    _check_shape(config)
    return config


def _check_shape(config: Config) -> None:
    cluster = config.cluster
    if not config.clustered and (cluster.workers > 1 or cluster.roles != ("all",)):
        raise ConfigError(
            "several workers or roles share their stores: set store.log to postgres or cassandra, "
            "and [postgres] and [redis]; SQLite is for one process"
        )
    _check_bus(config.bus)
    if cluster.workers < 1:
        raise ConfigError("cluster.workers must be at least 1")
    if cluster.dead_after_s < 2 * cluster.beat_s:
        raise ConfigError("cluster.dead_after_s must be at least twice cluster.beat_s")


def _check_bus(bus: Bus) -> None:
    if min(bus.attempts, bus.waiting, bus.dead) < 1:
        raise ConfigError("bus.attempts, bus.waiting and bus.dead must be at least 1")
    if not bus.webhook_url:
        return
    if not _is_web_address(bus.webhook_url):
        raise ConfigError("bus.webhook_url must begin with https:// or http:// and name a host")
    if not bus.webhook_secret:
        raise ConfigError("bus.webhook_url needs bus.webhook_secret, with which facts are signed")


def _is_web_address(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, text in environ.items():
        section, mark, key = name.removeprefix("HUBBUB_").lower().partition("__")
        if not name.startswith("HUBBUB_") or not mark:
            continue
        value: Any = text
        if text.startswith("["):
            value = msgspec.json.decode(text)
        elif name.endswith("_FILE") and _is_secret(key.removesuffix("_file")):
            key, value = key.removesuffix("_file"), _secret_from(name, text)
        tree.setdefault(section, {})[key] = value
    return tree


def _is_secret(key: str) -> bool:
    return key in SECRET_KEYS


def _secret_from(name: str, path: str) -> str:
    """`HUBBUB_POSTGRES__PASSWORD_FILE` names a file, as container engines mount secrets."""
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"{name}: the file cannot be read") from None


def _overlay(tree: dict[str, Any], above: Mapping[str, Any]) -> None:
    for section, values in above.items():
        if isinstance(values, Mapping) and isinstance(tree.get(section), dict):
            tree[section].update(values)
        else:
            tree[section] = dict(values) if isinstance(values, Mapping) else values


def _check_names(tree: Mapping[str, Any]) -> None:
    sections = {f.name: f.type for f in msgspec.structs.fields(Config)}
    for section, values in tree.items():
        if section not in sections:
            raise ConfigError(f"unknown section [{section}]{_suggest(section, sections)}")
        if not isinstance(values, Mapping):
            raise ConfigError(f"[{section}] must be a table")
        known = {f.name for f in msgspec.structs.fields(sections[section])}
        for key in values:
            if key not in known:
                raise ConfigError(f"unknown key {section}.{key}{_suggest(key, known)}")


def _suggest(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {near[0]!r}?" if near else f"; known are: {', '.join(sorted(known))}"
