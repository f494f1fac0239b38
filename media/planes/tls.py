"""TLS as bytes to bytes, so that a connection is counted, bounded and read in one way with it and
without it, on any event loop.

Not `loop.start_tls`: uvloop 0.23 hands the ClientHello to the plain protocol when reading was
paused as soon as the connection was made.
"""

from __future__ import annotations

import ssl

_READ_BYTES = 65_536


class ServerTls:
    """The server's end of one connection. What must be sent is in `outgoing` after each call."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._shaken = False

    def feed(self, data: bytes) -> bytes | None:
        """What it says in clear, empty while the handshake lasts; None: close. A handshake that
        does not end is the caller's to end.
        """
        self._in.write(data)
        clear = []
        try:
            if not self._shaken:
                self._tls.do_handshake()
                self._shaken = True
            while part := self._tls.read(_READ_BYTES):
                clear.append(part)
        except ssl.SSLWantReadError:
            return b"".join(clear)
        except ssl.SSLError:
            return None
        # The other end has said that it sends nothing more.
        return None

    def seal(self, data: bytes) -> bool:
        """False: the connection cannot be written to any more."""
        try:
            self._tls.write(data)
        except ssl.SSLError:
            return False
        return True

    def outgoing(self) -> bytes:
        return self._out.read()
