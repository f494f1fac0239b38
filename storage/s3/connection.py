"""The driver as the configuration wants it: TLS, few retries, addresses for the outside."""

from __future__ import annotations

import re
import ssl

import urllib3
from minio import Minio

from server.kernel.config import S3

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
CONNECTIONS = 32
"""Kept open; more are made for a moment when many read at once."""


def pool(config: S3) -> urllib3.PoolManager:
    """Raises OSError when the CA's file cannot be read.

    A call is tried again once when no connection could be had or the store asked for patience, and
    when a kept connection turned out to be dead. A write under a condition that was stored by a
    first try is refused at the second: whoever writes looks whose version is there.
    """
    retries = urllib3.Retry(
        total=2, connect=1, read=1, status=1, redirect=0, other=0, backoff_factor=0.1,
        status_forcelist=(502, 503, 504), raise_on_status=False, respect_retry_after_header=False,
    )  # fmt: skip
    if config.tls == "on":
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    return urllib3.PoolManager(
        maxsize=CONNECTIONS,
        timeout=urllib3.Timeout(connect=config.limit_s / 2, read=config.limit_s),
        retries=retries,
        ssl_context=None if config.tls == "off" else _tls(config),
    )


def client(config: S3, connections: urllib3.PoolManager) -> Minio:
    """Raises ValueError for an endpoint or a bucket that is none."""
    if _BUCKET.fullmatch(config.bucket) is None:
        raise ValueError("bucket takes 3 to 63 of a-z 0-9 . -")
    return _client(config, config.endpoint, config.tls != "off", connections)


def signer(config: S3, connections: urllib3.PoolManager) -> Minio:
    """Only signs. The public endpoint may say http:// or https:// before its name: the outside
    reaches it through a proxy.
    """
    scheme, mark, host = config.public_endpoint.rpartition("://")
    if not config.public_endpoint:
        return client(config, connections)
    secure = scheme == "https" if mark else config.tls != "off"
    return _client(config, host.rstrip("/"), secure, connections)


def _client(config: S3, host: str, secure: bool, connections: urllib3.PoolManager) -> Minio:
    if not host:
        raise ValueError("endpoint is empty")
    # The region is given, so that signing never asks the store for it.
    return Minio(
        host, config.access_key, config.secret_key,
        secure=secure, region=config.region, http_client=connections,
    )  # fmt: skip


def _tls(config: S3) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=config.ca_file or None)
    if config.tls == "on":  # encrypted, to whoever it is
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
