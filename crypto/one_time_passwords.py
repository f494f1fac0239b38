"""Time-based one-time passwords (RFC 6238) and recovery codes: pure, the time is an argument."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable

import pyotp

STEP_S = 30
DRIFT_STEPS = 1
"""One step to either side: a telephone's clock may be half a minute off (RFC 6238, section 5.2)."""
SECRET_BYTES = 20
"""The size of the HMAC-SHA1 output (RFC 4226, section 4, R6)."""
RECOVERY_CODES = 10
_RECOVERY_BYTES = 10


def matching_step(secret: str, code: str, now_s: float) -> int | None:
    """The 30 s step whose code this is, within the drift; None when it is of none.

    Every candidate is compared, in constant time. The caller sees to it that a step works once.
    """
    hotp = pyotp.HOTP(secret)
    present = int(now_s) // STEP_S
    found: int | None = None
    for step in range(max(0, present - DRIFT_STEPS), present + DRIFT_STEPS + 1):
        if hmac.compare_digest(hotp.at(step).encode(), code.encode("utf-8")):
            found = step
    return found


def code_at(secret: str, now_s: float) -> str:
    """The six digits an authenticator shows."""
    return str(pyotp.HOTP(secret).at(int(now_s) // STEP_S))


def provisioning_uri(secret: str, username: str, issuer: str) -> str:
    """The `otpauth://` address behind the QR code."""
    return str(pyotp.TOTP(secret).provisioning_uri(name=username, issuer_name=issuer))


def as_secret(raw: bytes) -> str:
    """Base32 of SECRET_BYTES octets, as authenticators take it."""
    return base64.b32encode(raw[:SECRET_BYTES]).decode("ascii")


def new_recovery_codes(random_bytes: Callable[[int], bytes]) -> list[str]:
    """Ten codes of 80 random bits, `xxxx-xxxx-xxxx-xxxx` in lower-case base32."""
    codes = []
    for _ in range(RECOVERY_CODES):
        text = base64.b32encode(random_bytes(_RECOVERY_BYTES)).decode("ascii").lower()
        codes.append("-".join(text[at : at + 4] for at in range(0, 16, 4)))
    return codes


def canonical_recovery_code(typed: str) -> str:
    """What was typed, without dashes, blanks and capitals."""
    return typed.replace("-", "").replace(" ", "").lower()
