"""What can be configured: the sections with their defaults, which are safe."""

from __future__ import annotations

from typing import Literal

import msgspec


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
    calls: int = 10_000
    calls_per_user: int = 4
    call_participants: int = 100
    call_start_per_s: float = 0.2
    call_start_burst: int = 10
    call_signal_per_s: float = 50.0
    call_signal_burst: int = 300
    call_change_per_s: float = 10.0
    """One user joins and mutes so often: each is told to the whole room."""
    call_change_burst: int = 100
    call_quality_per_s: float = 1.0
    """Reports of one user; he may read twice as many."""
    call_quality_burst: int = 20
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


class Media(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """STUN, TURN and the one port of calls."""

    enabled: bool = True
    hosts: tuple[str, ...] = ()
    """Numeric addresses to listen on, "0.0.0.0" and "::" for all; none: that of `server.host`, or
    all where a proxy before us makes the server public.
    """
    port: int = -1
    """UDP. -1: the number of the HTTP port (on loopback any where that is in use); 0: any."""
    tcp_port: int = -1
    """ICE-TCP and TURN over TCP and TLS. -1: the number after the HTTP port's; 0: any."""
    tcp: bool = True
    public_hosts: tuple[str, ...] = ()
    """Numeric: how the world reaches us where that is not by `hosts`, with the same ports."""
    public_name: str = ""
    """The name that clients are told for STUN and TURN, and that the certificate is for."""
    stun_server: str = ""
    """host:port of a STUN server that is asked for our public address."""
    tls_certificate: str = ""
    """A PEM file with the chain, for TURN over TLS on the TCP port."""
    tls_key: str = ""
    relay_first_port: int = 49_152
    relay_last_port: int = 65_535
    allowed_peers: tuple[str, ...] = ()
    """Networks that may be relayed to although they are private, loopback or otherwise special."""
    user_bps: int = 20_000_000
    user_allocations: int = 20
    ice_urls: tuple[str, ...] = ()
    """STUN and TURN servers of the operator's, told to clients beside ours."""
    ice_secret: str = ""
    """Signs the credentials for all TURN servers; ours makes its own. Named, it is shared with the
    operator's (coturn: static-auth-secret).
    """


Role = Literal["all", "hub", "api", "media", "worker"]


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
