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
from typing import Any
from urllib.parse import urlsplit

import msgspec

from server.kernel.settings import (
    S3,
    Accounts,
    Bus,
    Cassandra,
    Cluster,
    Hub,
    Limits,
    Log,
    Logging,
    Media,
    Postgres,
    Presence,
    Redis,
    Role,
    Server,
    Store,
)

__all__ = [
    "NO_LIMITS",
    "S3",
    "SECRET_KEYS",
    "Accounts",
    "Bus",
    "Cassandra",
    "Cluster",
    "Config",
    "ConfigError",
    "Hub",
    "Limits",
    "Log",
    "Logging",
    "Media",
    "Postgres",
    "Presence",
    "Redis",
    "Role",
    "Server",
    "Store",
    "is_loopback",
    "load_config",
]


class ConfigError(Exception):
    """The configuration cannot be used; the text names the key and what to write instead."""


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
    media: Media = Media()

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
        return "open" if self.is_local else "invite"

    @property
    def is_local(self) -> bool:
        """Only programs of this machine reach us, as far as the configuration says."""
        return self.on_loopback and not self.server.public_url and not self.server.trusted_proxies


SECRET_KEYS = frozenset(
    {"password", "secret_key", "sentinel_password", "webhook_secret", "ice_secret"}
)
"""Values that are never shown."""

NO_LIMITS: Mapping[str, Any] = {
    "send_per_s": 0, "event_per_s": 0, "login_fail_per_min": 0, "signup_per_h": 0, "http_per_s": 0,
    "connect_per_s": 0, "connect_address_per_s": 0, "sockets_per_user": 0, "pending_per_socket": 0,
    "call_start_per_s": 0, "call_signal_per_s": 0, "call_change_per_s": 0, "call_quality_per_s": 0,
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
    _check_media(config.media)
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


def _check_media(media: Media) -> None:
    for host in (*media.hosts, *media.public_hosts):
        try:
            ipaddress.ip_address(host)
        except ValueError:
            raise ConfigError(
                f"media.hosts and media.public_hosts are numeric addresses, not {host!r}; a name "
                "goes into media.public_name"
            ) from None
    if not 1024 <= media.relay_first_port <= media.relay_last_port <= 65_535:
        raise ConfigError("media.relay_first_port and relay_last_port: a range within 1024..65535")
    if not all(-1 <= port <= 65_535 for port in (media.port, media.tcp_port)):
        raise ConfigError("media.port and media.tcp_port: -1 (chosen), 0 (any), or up to 65535")
    if bool(media.tls_certificate) != bool(media.tls_key):
        raise ConfigError("media.tls_certificate and media.tls_key go together")
    for network in media.allowed_peers:
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError:
            raise ConfigError(f"media.allowed_peers: {network!r} is no network") from None
    _check_ice_urls(media)


def _check_ice_urls(media: Media) -> None:
    for url in media.ice_urls:
        if not url.startswith(("stun:", "stuns:", "turn:", "turns:")):
            raise ConfigError(f"media.ice_urls: {url!r} is no stun: or turn: address (RFC 7064)")
        if url.startswith("turn") and not media.ice_secret:
            raise ConfigError("media.ice_urls names a TURN server: set media.ice_secret, its own")


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
