"""The certificate for TURN over TLS: readable, with its key, in time, and for our name."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509

from server.cli.doctor.findings import Finding, ok, warn, wrong
from server.kernel.config import Media

NAME = "certificate"
SOON = datetime.timedelta(days=14)


def look_at(media: Media, name: str, now: datetime.datetime) -> Finding:
    """`name`: what clients are told in `turns:`, a host name or an address."""
    path = media.tls_certificate
    try:
        leaf = x509.load_pem_x509_certificate(Path(path).read_bytes())
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path, media.tls_key or None)
    except (OSError, ValueError) as error:
        # ssl.SSLError is an OSError; its strerror names the library.
        reason = error.reason if isinstance(error, ssl.SSLError) else str(error)
        if reason == "KEY_VALUES_MISMATCH":
            reason = f"the key in {media.tls_key} belongs to another certificate"
        advice = "media.tls_certificate and media.tls_key are PEM files: the chain, and its key."
        return wrong(NAME, f"{path}: {reason}", advice)
    until = leaf.not_valid_after_utc
    seen = f"{path}, until {until:%Y-%m-%d}"
    renew = "Renew it (no restart is needed): browsers use TURN over TLS only with a valid one."
    if until <= now:
        return wrong(NAME, f"{path} has expired on {until:%Y-%m-%d}", renew)
    covered = names_of(leaf)
    if not covers(covered, name):
        advice = "Set media.public_name to a name of the certificate, or get one for this name."
        listed = ", ".join(covered[:5]) or "no name"
        return wrong(NAME, f"{path} is for {listed}, not for {name}", advice)
    if until - now < SOON:
        return warn(NAME, seen, renew)
    if _is_address(name):
        advice = "Set media.public_name to a name of the certificate."
        return warn(NAME, f"{seen}; Firefox uses no TURN over TLS at a numeric address", advice)
    return ok(NAME, f"{seen}, for {name}")


def names_of(leaf: x509.Certificate) -> list[str]:
    """Host names and addresses; the common name counts for nobody any more (RFC 9525)."""
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    names = found.get_values_for_type(x509.DNSName)
    return [*names, *(str(one) for one in found.get_values_for_type(x509.IPAddress))]


def covers(covered: list[str], name: str) -> bool:
    name = name.lower().rstrip(".")
    if _is_address(name):
        return str(ipaddress.ip_address(name.strip("[]"))) in covered
    parent = name.partition(".")[2]
    wanted = {name, f"*.{parent}"} if parent else {name}
    return any(one.lower() in wanted for one in covered)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
