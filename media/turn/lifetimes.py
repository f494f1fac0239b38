"""How long what a client asks for lives."""

from __future__ import annotations

PERMISSION_S = 300.0
"""RFC 8656, section 9: fixed."""
CHANNEL_S = 600.0
"""RFC 8656, section 12: fixed."""
RESERVATION_S = 30.0
"""RFC 8656, section 7.2: at least 30 s."""


def granted_lifetime(requested: int | None, *, default: int = 600, maximum: int = 3600) -> int:
    """Choose how long a new TURN allocation lives.

    Args:
        requested: LIFETIME attribute of the Allocate request, seconds, 0..2**32-1; None when
            absent.
        default: floor, seconds.
        maximum: server ceiling, seconds (>= default).
    Returns:
        Seconds until the allocation expires, in default..maximum.
    Raises:
        ValueError: `requested` does not fit in 32 bits.

    Source: RFC 8656, section 7.2 (the lifetime paragraph); 0 deletes only in a Refresh, section
    8.2.
    """
    if requested is None:
        return default
    if not 0 <= requested < 2**32:
        raise ValueError("a lifetime has 32 bits")
    return max(default, min(requested, maximum))
