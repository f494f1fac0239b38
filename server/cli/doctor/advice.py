"""What to do about a leg that fails, by the step where it does."""

from __future__ import annotations

from media.connections import PlaneReady
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


def failure(leg: Leg, failed: Failed, media: Media, ready: PlaneReady) -> Finding:
    seen = SAID[failed.step] + (f" ({failed.detail})" if failed.detail else "")
    if not leg.is_here and leg.is_ours and not failed.detail[:3].isdigit():
        return warn(leg.name, seen, _beyond(leg.host, ready))
    return wrong(leg.name, seen, _advice(leg, failed, media))


def _beyond(host: str, ready: PlaneReady) -> str:
    """An address that is a router's: from inside nobody can tell for sure."""
    forwarded = f"UDP {ready.port}" + (f" and TCP {ready.tcp_port}" if ready.tcp_port else "")
    return (
        f"{host} is not an address of this machine, and some routers lead nobody back who asks "
        f"from inside: then this means nothing. Else see that {host} is the address by which the "
        "world reaches us (it is from media.public_hosts, media.public_name or the STUN server), "
        f"and that the router forwards {forwarded} to this machine with the same numbers. Ask it "
        f"from outside: turnutils_stunclient -p {ready.port} {host}"
    )


def _advice(leg: Leg, failed: Failed, media: Media) -> str:
    kind = "UDP" if leg.transport == "udp" else "TCP"
    match failed.step:
        case "connect" | "stun":
            return _silent(leg, kind)
        case "tls":
            return (
                "Browsers refuse it too. media.tls_certificate must hold the whole chain, be valid "
                "for media.public_name, and come from an authority that browsers know."
            )
        case "allocation":
            return _allocation(failed, media) if failed.detail else _silent(leg, kind)
        case "permission":
            return "The relay refuses the media port's own address: look at media.public_hosts."
        case "ice" if leg.server:
            return (
                "What is relayed does not arrive: the firewall must let the media port and UDP "
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


def _silent(leg: Leg, kind: str) -> str:
    if not leg.is_ours:
        return "Is that server running, and reached from here? Clients are told of it."
    return f"A firewall on this machine? It must let {kind} port {leg.port} in and out."


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
    return "Look at the settings of [media], or of that TURN server."
