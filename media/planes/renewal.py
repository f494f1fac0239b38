"""The certificate of TURN over TLS, read again when its files change: they are renewed every month
or two, and nobody restarts a server in a call for it.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from server.kernel.logs import get_logger

log = get_logger(__name__)


class RenewedContext:
    """`context` serves; new connections get what `look` has found. `key`: "" where both are in one
    file. Raises OSError when they cannot be read or are no certificate and its key.
    """

    def __init__(self, certificate: str, key: str) -> None:
        self._files = (certificate, key or None)
        self._seen = self._stamps()
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(*self._files)

    def look(self) -> None:
        """Cheap; to be called every few seconds. What cannot be read is left for the next time: a
        renewal writes two files.
        """
        try:
            seen = self._stamps()
            if seen == self._seen:
                return
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*self._files)
            self.context.load_cert_chain(*self._files)
        except OSError as error:  # ssl.SSLError is one
            log.warning("certificate.not_read", reason=type(error).__name__)
            return
        self._seen = seen
        log.info("certificate.renewed")

    def _stamps(self) -> tuple[int, ...]:
        return tuple(Path(name).stat().st_mtime_ns for name in self._files if name is not None)
