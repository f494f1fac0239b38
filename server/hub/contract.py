"""The wire contract on the namespace `/`: CONNECT with a token, events, acknowledgements, the end.

Packets are read here, synchronously, as they come; python-socketio sees none of them.
"""

from __future__ import annotations

import asyncio
from typing import Any

from server.hub.dispatch import Dispatcher
from server.hub.driven import drive
from server.hub.login import Login
from server.hub.outbox import Outbox, Packet
from server.hub.payload import (
    MAX_ATTACHMENT_BYTES,
    MAX_ATTACHMENTS,
    BadPacket,
    Header,
    connect_token,
    read_event,
    read_header,
)
from server.hub.session import Session, State
from server.kernel.config import Limits
from server.kernel.errors import AppError, Internal, Invalid, TooLarge
from server.kernel.json import encode
from server.kernel.logs import get_logger

log = get_logger(__name__)

_UNKNOWN_NAMESPACE = {"message": "Invalid namespace"}


class Contract:
    """Reads the packets of sockets that speak the wire contract.

    `text` and `binary` raise BadPacket for what ends the socket. Everything else is answered.
    """

    def __init__(
        self, limits: Limits, *, dispatcher: Dispatcher, login: Login, outbox: Outbox
    ) -> None:
        self._limits = limits
        self._dispatcher = dispatcher
        self._login = login
        self._outbox = outbox

    def text(self, session: Session, packet: str) -> None:
        """Raises BadPacket."""
        if session.skip_count:
            raise BadPacket("an attachment was announced")
        if packet[:1] == "2" and session.state == State.LIVE and self._small(packet):
            event = read_event(packet)
            if event is not None:
                self._dispatcher.event(session, event.ack, event.name, event.raw)
                return
        self._rarer(session, packet, read_header(packet))

    def binary(self, session: Session, data: bytes) -> None:
        """An attachment of an event that was refused on its header. Raises BadPacket."""
        if session.skip_count <= 0:
            raise BadPacket("unexpected attachment")
        session.skip_count -= 1
        session.skip_bytes += len(data)
        if session.skip_bytes > MAX_ATTACHMENT_BYTES:
            raise BadPacket("attachments too large")

    # ---- by type ---------------------------------------------------------------------------------

    def _rarer(self, session: Session, packet: str, header: Header) -> None:
        if header.namespace != "/":
            self._foreign(session, header)
        elif header.kind == "0":
            self._connect(session, packet[header.body :])
        elif session.state != State.LIVE:
            raise BadPacket("not connected")
        elif header.kind == "2":
            self._event(session, packet, header)
        elif header.kind in "56":
            self._skip(session, header)
        elif header.kind == "1":
            session.socket.close(1000, "bye")
        elif header.kind == "4":
            raise BadPacket("CONNECT_ERROR from a client")
        elif not header.ack or packet[header.body : header.body + 1] != "[":
            raise BadPacket("no acknowledgement")

    def _event(self, session: Session, packet: str, header: Header) -> None:
        body = packet[header.body :]
        if not header.ack and body[:1] != "[":
            raise BadPacket("no event")
        if self._small(packet):
            self._dispatcher.odd_event(session, header.ack, body)
        else:
            text = f"An event has at most {self._limits.packet_bytes} bytes."
            self._dispatcher.refuse(session, header.ack, TooLarge(text))

    def _skip(self, session: Session, header: Header) -> None:
        if header.attachments > MAX_ATTACHMENTS:
            raise BadPacket("too many attachments")
        session.skip_count = header.attachments
        session.skip_bytes = 0
        if header.kind == "5":
            refusal = Invalid("No event carries binary attachments.")
            self._dispatcher.refuse(session, header.ack, refusal)

    def _foreign(self, session: Session, header: Header) -> None:
        if header.kind != "0":
            raise BadPacket("not connected to that namespace")
        text = b"4%b,%b" % (header.namespace.encode(), encode(_UNKNOWN_NAMESPACE))
        self._outbox.write(session, Packet(text))

    def _connect(self, session: Session, body: str) -> None:
        if session.state != State.OPEN:
            raise BadPacket("connected already")
        session.state = State.CONNECTING
        token = connect_token(body)

        def done(result: Any, failed: BaseException | None) -> None:
            self._connected(session, failed)

        drive(self._login.connect(session, token), done, asyncio.get_running_loop())

    def _connected(self, session: Session, failed: BaseException | None) -> None:
        if failed is None or session.state == State.ENDED:
            return
        session.state = State.OPEN
        if not isinstance(failed, AppError):
            log.error("connect.failed", exc_info=failed)
            failed = Internal()
        self._outbox.write(session, Packet(b"4" + encode(_connect_error(failed))))

    def _small(self, packet: str) -> bool:
        limit = self._limits.packet_bytes
        if len(packet) * 4 <= limit or (packet.isascii() and len(packet) <= limit):
            return True
        return len(packet) <= limit and len(packet.encode()) <= limit


def _connect_error(refusal: AppError) -> dict[str, object]:
    data: dict[str, object] = {"code": refusal.code}
    if refusal.retry_after_s is not None:
        data["retry_after_s"] = refusal.retry_after_s
    return {"message": refusal.code, "data": data}
