"""What to do about a leg that fails, by the step where it does."""

from __future__ import annotations

from media.peer.steps import Failed, Step
from server.cli.doctor.findings import Finding, warn, wrong
from server.cli.doctor.legs import Leg
from server.kernel.config import Media

SAID: dict[Step, str] = {
    "connect": "no connection",
    "tls": "the TLS handshake fails",
    "stun": "STUN is not answered",
    "allocation": "no TURN allocation",
    "permission": "TURN permission refused",
    "ice": "the ICE check is not answered",
    "dtls": "the DTLS handshake fails",
    "srtp": "no SRTP packet comes back",
    "data": "no data channel message comes back",
}


def failure(leg: Leg, failed: Failed, media: Media) -> Finding:
    seen = SAID[failed.step] + (f" ({failed.detail})" if failed.detail else "")
    if not leg.is_here and leg.is_ours and failed.step in ("connect", "stun", "ice"):
        return warn(leg.name, seen, _beyond(leg))
    return wrong(leg.name, seen, _advice(leg, failed, media))


def _beyond(leg: Leg) -> str:
    """An address that is a router's: from inside nobody can tell for sure."""
    kind = "UDP" if leg.transport == "udp" else "TCP"
    return (
        "Some routers lead nobody back from inside; then this means nothing. Else: forward "
        f"{kind} {leg.port} to this machine with the same number, and see that {leg.host} (from "
        "media.public_hosts, media.public_name or the STUN server) is the address that the world "
        f"reaches. From outside: turnutils_stunclient -p {leg.port} {leg.host}"
    )


def _advice(leg: Leg, failed: Failed, media: Media) -> str:
    kind = "UDP" if leg.transport == "udp" else "TCP"
    match failed.step:
        case "connect" | "stun":
            return f"A firewall on this machine? It must let {kind} port {leg.port} in and out."
        case "tls":
            return (
                "Browsers refuse it too. media.tls_certificate must hold the whole chain, be valid "
                "for media.public_name, and come from an authority that browsers know."
            )
        case "allocation":
            return _allocation(failed, media)
        case "permission":
            return "The relay refuses the media port's own address: look at media.public_hosts."
        case "ice" if leg.server:
            return (
                f"What is relayed does not arrive: the firewall must let UDP ports "
                f"{media.relay_first_port} to {media.relay_last_port} in and out."
            )
        case "ice":
            return f"Something else answers on {kind} port {leg.port}, or a firewall holds back."
        case "dtls":
            return (
                "Short packets pass and long ones (1,200 bytes) do not, or they are changed on the "
                "way: look at the MTU and at firewalls that inspect traffic."
            )
        case "srtp" | "data":
            return "The handshake passes and media does not: a firewall that inspects traffic?"


def _allocation(failed: Failed, media: Media) -> str:
    code = failed.detail[:3]
    if code in ("401", "441"):
        return (
            "The credential is not accepted: media.ice_secret must be that server's, and both "
            "clocks right."
        )
    if code == "508":
        return (
            f"No relay port is to be had: are UDP {media.relay_first_port} to "
            f"{media.relay_last_port} in use by other programs?"
        )
    if code == "440":
        return "It relays no address of this family."
    if not failed.detail:
        return "It does not answer: is it running, and does the firewall let it through?"
    return "Look at the settings of [media], or of that TURN server."
