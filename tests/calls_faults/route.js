/* Before the page's own scripts: media goes the way that the test wants, in a size that a busy machine can bear.
   `route`: {relay: "host:port"} leads through that TURN address alone; {through: true} asks `wayTo` for each address
   of the other side; {silent: true} is told no address and learns them from the other side's checks. */
window.peers = [];
window.route = {};
const Real = window.RTCPeerConnection;

window.RTCPeerConnection = class extends Real {
  constructor(configuration) {
    super(routed(configuration));
    window.peers.push(this);
  }
  setConfiguration(configuration) {
    super.setConfiguration(routed(configuration));
  }
  async setRemoteDescription(description) {
    if (!window.route.through && !window.route.silent) return super.setRemoteDescription(description);
    const lines = description.sdp.split("\r\n");
    const candidates = lines.filter((line) => line.startsWith("a=candidate:"));
    const sdp = lines.filter((line) => !candidates.includes(line) && line !== "a=end-of-candidates").join("\r\n");
    await super.setRemoteDescription({ type: description.type, sdp });
    for (const line of candidates) await this.addIceCandidate({ candidate: line.slice(2), sdpMLineIndex: 0 });
  }
  async addIceCandidate(candidate) {
    const { through, silent } = window.route;
    if (!through && !silent) return super.addIceCandidate(candidate);
    const words = (candidate?.candidate ?? "").split(" ");
    if (silent || words[4] !== "127.0.0.1" || words[2].toLowerCase() !== "udp") return;
    const [host, port] = await window.wayTo(words[4], Number(words[5]));
    words[4] = host;
    words[5] = port;
    const init = candidate.toJSON?.() ?? candidate;
    return super.addIceCandidate({ ...init, candidate: words.join(" ") });
  }
};

function routed(configuration) {
  const { relay, through, silent } = window.route;
  if (through || silent) return { ...configuration, iceServers: [] };
  if (!relay) return configuration;
  const turn = configuration.iceServers.filter(({ credential }) => credential);
  const iceServers = turn.map((server) => ({ ...server, urls: [`turn:${relay}?transport=udp`] }));
  return { ...configuration, iceServers, iceTransportPolicy: "relay" };
}

const take = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = (wish) =>
  take({ ...wish, ...(wish.video && { video: { width: 320, height: 180, frameRate: 15 } }) });
