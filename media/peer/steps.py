"""The steps from a peer to the media port and back, and how one fails."""

from __future__ import annotations

from typing import Literal

Step = Literal["connect", "tls", "stun", "allocation", "permission", "ice", "dtls", "srtp", "data"]
"""In the order they are gone; not each way has all."""


class Failed(Exception):
    """The way ends at `step`. `detail` is a word of the system's, of OpenSSL's, or of the server's;
    empty: nothing came back.
    """

    def __init__(self, step: Step, detail: str = "") -> None:
        super().__init__(f"{step}: {detail or 'no answer'}")
        self.step = step
        self.detail = detail
