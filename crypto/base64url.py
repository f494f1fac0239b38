"""base64url without padding (RFC 4648, section 5), with exactly one spelling for each value."""

from __future__ import annotations

import binascii

_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_+/=", b"+/\x00\x00\x00")
_PADDING = (b"", None, b"==", b"=")


def encode(raw: bytes) -> bytes:
    return binascii.b2a_base64(raw, newline=False).translate(_TO_URL).rstrip(b"=")


def decode(text: bytes) -> bytes:
    """Strict: no padding, no other alphabet, no whitespace, unused bits zero.

    Raises:
        ValueError: it is not what `encode` would have written.
    """
    padding = _PADDING[len(text) % 4]
    if padding is None:
        raise ValueError("not base64url")
    try:
        raw = binascii.a2b_base64(text.translate(_FROM_URL) + padding, strict_mode=True)
    except binascii.Error:
        raise ValueError("not base64url") from None
    if encode(raw) != text:
        raise ValueError("not base64url")
    return raw
