"""Fits session descriptions (RFC 8866, RFC 9429) to what aiortc can negotiate, and back.

aiortc wants every media section alive, bundled and with a codec in common, and knows no rejected
ones. So it is shown only sections that it can take, in the order in which it first saw them; the
rest is rejected here. A section that dies later stays before its eyes as inactive.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

LINES_MOST = 8
"""Sections taken in one connection; the rest is rejected."""

SECTIONS_MOST = 32
_CODECS = {
    "audio": re.compile(r"^a=rtpmap:\d+ (opus/48000|PCM[UA]/8000|G722/8000)", re.I | re.M),
    "video": re.compile(r"^a=rtpmap:\d+ (VP8|H264)/90000", re.I | re.M),
}
_DIRECTION = re.compile(r"^a=(sendrecv|sendonly|recvonly|inactive)\r?$", re.M)
_TRANSPORT = ("a=ice-", "a=fingerprint:", "a=setup:", "a=candidate:", "a=end-of-candidates")


class Unusable(ValueError):
    """No description that a connection could be made from."""


@dataclass(frozen=True, slots=True)
class Section:
    """One `m=` section. `text` ends with a line break."""

    kind: str
    mid: str
    text: str

    @property
    def rejected(self) -> bool:
        port = self.text.split(" ", 2)[1]
        return port == "0" and "a=bundle-only" not in self.text

    @property
    def direction(self) -> str:
        found = _DIRECTION.search(self.text)
        return "inactive" if self.rejected else found.group(1) if found else "sendrecv"

    @property
    def protocol(self) -> str:
        return self.text.split(" ", 3)[2]


@dataclass(frozen=True, slots=True)
class Session:
    head: str
    sections: tuple[Section, ...]

    @property
    def bundle(self) -> list[str]:
        found = re.search(r"^a=group:BUNDLE +(.*?)\r?$", self.head, re.M)
        return found.group(1).split() if found else []

    def section(self, mid: str) -> Section | None:
        return next((each for each in self.sections if each.mid == mid), None)


def read(sdp: str) -> Session:
    """Raises Unusable."""
    text = re.sub(r"\r?\n", "\r\n", sdp.strip()) + "\r\n"
    head, *rest = re.split(r"(?=^m=)", text, flags=re.M)
    if not 1 <= len(rest) <= SECTIONS_MOST:
        raise Unusable("media sections")
    sections = tuple(_section(index, part) for index, part in enumerate(rest))
    if len({each.mid for each in sections}) != len(sections):
        raise Unusable("mid")
    return Session(head, sections)


def ice_of(session: Session) -> tuple[str, str]:
    """The user fragment of the connection, and its certificate's fingerprints."""
    text = "".join([session.head, *(each.text for each in session.sections if not each.rejected)])
    ufrag = re.search(r"^a=ice-ufrag:(\S+)", text, re.M)
    prints = sorted(set(re.findall(r"^a=fingerprint:(.+?)\r$", text.lower(), re.M)))
    return (ufrag.group(1) if ufrag else "", ",".join(prints))


def _section(index: int, text: str) -> Section:
    if not re.match(r"m=[a-z]+ \d{1,5} [A-Z/]+ \S", text):
        raise Unusable("m=")
    mid = re.search(r"^a=mid:(\S{1,64})\r?$", text, re.M)
    return Section(text[2:].split(" ", 1)[0], mid.group(1) if mid else str(index), text)


@dataclass
class Fitting:
    """What one peer connection of aiortc has seen: mids in its order, and their last live text."""

    seen: dict[str, Section] = field(default_factory=dict)

    def take_offer(self, offer: Session) -> str:
        """The offer for aiortc. Raises Unusable if there is nothing to talk about."""
        for section in offer.sections:
            known = section.mid in self.seen
            if _usable(section, offer) and (known or len(self.seen) < LINES_MOST):
                self.seen[section.mid] = section
            elif known:
                self.seen[section.mid] = _inactive(self.seen[section.mid])
        if not self.seen:
            raise Unusable("nothing in common")
        return _text(offer.head, list(self.seen.values()))

    def give_answer(self, answer: str, offer: Session) -> str:
        """aiortc's answer, with a section for each one of the offer."""
        ours = {each.mid: each for each in read(answer).sections}
        given = [
            ours[each.mid] if each.mid in ours and _usable(each, offer) else _rejecting(each)
            for each in offer.sections
        ]
        alive = [each.mid for each in given if not each.rejected]
        return _text(read(answer).head, given, alive)

    def give_offer(self, offer: str) -> str:
        self.seen = {each.mid: each for each in read(offer).sections}
        return offer

    def take_answer(self, answer: Session) -> str:
        """Rejected sections become inactive ones of the accepted connection. Raises Unusable."""
        if [each.mid for each in answer.sections] != list(self.seen):
            raise Unusable("other sections than offered")
        alive = next((each for each in answer.sections if not each.rejected), None)
        if alive is None:
            raise Unusable("everything was rejected")
        fitted = [
            _carried_by(alive, self.seen[each.mid]) if each.rejected else each
            for each in answer.sections
        ]
        return _text(answer.head, fitted)


def _usable(section: Section, session: Session) -> bool:
    if section.rejected:
        return False
    bundle = session.bundle
    if section.mid not in bundle and section is not session.sections[0]:
        return False
    if section.kind == "application":
        return section.protocol.endswith("DTLS/SCTP") and "webrtc-datachannel" in section.text
    codec = _CODECS.get(section.kind)
    return (
        codec is not None
        and section.protocol.endswith("TLS/RTP/SAVPF")
        and "a=rtcp-mux" in section.text
        and codec.search(section.text) is not None
    )


def _inactive(section: Section) -> Section:
    text = _DIRECTION.sub("a=inactive\r", section.text)
    return Section(section.kind, section.mid, text)


def _rejecting(section: Section) -> Section:
    form = section.text.split("\r\n", 1)[0].split(" ")[3]
    text = (
        f"m={section.kind} 0 {section.protocol} {form}\r\n"
        f"c=IN IP4 0.0.0.0\r\na=inactive\r\na=mid:{section.mid}\r\n"
    )
    return Section(section.kind, section.mid, text)


def _carried_by(alive: Section, ours: Section) -> Section:
    """Our own offered section, as if it were answered with nothing to send or to receive."""
    kept = [line for line in ours.text.split("\r\n") if line and not line.startswith(_TRANSPORT)]
    lent = [line for line in alive.text.split("\r\n") if line.startswith(_TRANSPORT[:3])]
    text = "\r\n".join([*kept, *lent, ""])
    text = re.sub(r"^a=(msid|ssrc).*\r\n", "", text, flags=re.M)
    return _inactive(Section(ours.kind, ours.mid, text))


def _text(head: str, sections: Sequence[Section], bundle: Sequence[str] | None = None) -> str:
    mids = [each.mid for each in sections] if bundle is None else bundle
    group = f"a=group:BUNDLE {' '.join(mids)}\r\n"
    without = re.sub(r"^a=group:.*\r\n", "", head, flags=re.M)
    return "".join([without, group, *(each.text for each in sections)])


def sources_of(session: Session, told: Mapping[str, str]) -> dict[str, str]:
    """mid -> source. Who does not tell sends `mic` and `camera` first, then a screen."""
    order = {"audio": ["mic", "screen_audio"], "video": ["camera", "screen"]}
    left = {
        kind: [each for each in names if each not in told.values()] for kind, names in order.items()
    }
    found: dict[str, str] = {}
    for section in session.sections:
        if section.mid in told:
            found[section.mid] = told[section.mid]
        elif not section.rejected and left.get(section.kind):
            found[section.mid] = left[section.kind].pop(0)
    return found
