// A client of somebody who has only read the wire contract: fetch, the socket.io-client of npm, RTCPeerConnection.
// Nothing of ours. The tests drive it: `devices.anna.starts(room, "video")`, and read what it heard.
"use strict";

const PASSWORD = "correct horse battery";
const PICTURE = { width: 320, height: 180, frameRate: 15 };
const SOURCES = { audio: "mic", video: "camera" };
const devices = {};

class Device {
  static async joins(name, server, username = name) {
    const device = new Device(server);
    const account = { username, password: PASSWORD };
    device.session = await device.http("POST", "/api/v1/accounts", account).catch(() =>
      device.http("POST", "/api/v1/sessions", { ...account, device_name: name, platform: "foreign" }));
    await device.connects();
    devices[name] = device;
    return { user_id: device.session.user.id, device_id: device.session.device.id };
  }

  constructor(server) {
    this.server = server;
    this.heard = [];
    this.answers = null;
    this.leg = null;
  }

  async http(method, path, body) {
    const headers = { "content-type": "application/json" };
    if (this.session) headers.authorization = `Bearer ${this.session.access_token}`;
    const answer = await fetch(this.server + path, { method, headers, body: body && JSON.stringify(body) });
    const data = await answer.json();
    if (!answer.ok) throw new Error(`${path}: ${data.code}`);
    return data;
  }

  connects() {
    this.socket = io(this.server, { auth: { token: this.session.access_token }, forceNew: true });
    this.socket.onAny((name, payload) => {
      this.heard.push({ name, payload });
      this.hears(name, payload);
    });
    return new Promise((resolve, reject) => {
      this.socket.once("connect", resolve);
      this.socket.once("connect_error", reject);
    });
  }

  asks(name, payload) {
    return this.socket.timeout(15_000).emitWithAck(name, payload);
  }

  async gets(name, payload) {
    const answer = await this.asks(name, payload);
    if (!answer.ok) throw new Error(`${name}: ${JSON.stringify(answer.error)}`);
    return answer.data;
  }

  // options: {policy?, via?: {transport, host?}}
  async starts(room_id, media, options = {}) {
    const data = await this.gets("call:start", { room_id, media });
    this.leg = new Leg(this, data, options);
    await this.leg.opens();
    return data;
  }

  // From now on every ringing is accepted.
  accepts(options = {}) {
    this.answers = options;
  }

  async accept(call) {
    const data = await this.gets("call:accept", { call_id: call.id });
    this.leg = new Leg(this, data, this.answers);
    await this.leg.opens();
    const other = data.call.participants.find((one) => one.device_id !== this.session.device.id);
    await this.leg.offers(other.device_id);
  }

  hears(name, payload) {
    if (name === "call:ringing" && this.answers) this.accept(payload.call).catch((error) => this.fails(error));
    if (name === "call:signal" && this.leg?.id === payload.call_id)
      this.leg.hears(payload).catch((error) => this.fails(error));
  }

  async stats() {
    return (await this.leg?.stats()) ?? {};
  }

  fails(error) {
    this.heard.push({ name: "error", payload: String(error) });
  }

  async leaves() {
    await this.gets("call:leave", { call_id: this.leg.id });
    this.leg.closes();
  }

  // The application is closed.
  parts() {
    this.leg?.closes();
    this.socket.disconnect();
  }
}

// One peer connection with one other device.
class Leg {
  constructor(device, { call, ice_servers }, { policy = "all", via }) {
    this.device = device;
    this.id = call.id;
    this.media = call.media;
    this.other = null;
    this.early = [];
    this.mine = [];
    const iceServers = via ? ice_servers.map((one) => only(one, via)).filter((one) => one.urls.length) : ice_servers;
    this.pc = new RTCPeerConnection({ iceServers, iceTransportPolicy: policy });
    this.pc.onicecandidate = ({ candidate }) => candidate && this.says({ candidate: candidate.toJSON() });
    this.refused = [];
    this.pc.onicecandidateerror = ({ url, errorCode, errorText }) => this.refused.push({ url, errorCode, errorText });
    this.pc.ontrack = ({ track }) => plays(track);
    // Signals of a burst are answered one after the other.
    this.turn = Promise.resolve();
    this.ready = new Promise((resolve) => (this.opened = resolve));
  }

  async opens() {
    this.stream = await navigator.mediaDevices.getUserMedia(
      { audio: true, video: this.media === "video" && PICTURE });
    for (const track of this.stream.getTracks()) this.pc.addTrack(track, this.stream);
    this.opened();
  }

  async offers(device_id, options) {
    this.other = device_id;
    await this.pc.setLocalDescription(await this.pc.createOffer(options));
    this.says({ description: this.pc.localDescription.toJSON() });
    for (const signal of this.mine.splice(0)) this.says(signal);
  }

  says(signal) {
    // Candidates may be found before it is known to whom they go.
    if (this.other === null) return void this.mine.push(signal);
    this.device.gets("call:signal", { call_id: this.id, to_device_id: this.other, signal })
      .catch((error) => this.device.fails(error));
  }

  hears({ from_device_id, signal }) {
    this.other ??= from_device_id;
    return (this.turn = this.turn.then(() => this.ready).then(() => this.takes(signal)));
  }

  async takes({ description, candidate }) {
    if (candidate) {
      if (this.pc.remoteDescription) await this.pc.addIceCandidate(candidate);
      else this.early.push(candidate);
      return;
    }
    await this.pc.setRemoteDescription(description);
    for (const one of this.early.splice(0)) await this.pc.addIceCandidate(one);
    if (description.type !== "offer") return;
    await this.pc.setLocalDescription(await this.pc.createAnswer());
    this.says({ description: this.pc.localDescription.toJSON() });
  }

  mutes(kind, muted) {
    for (const track of this.stream.getTracks()) if (track.kind === kind) track.enabled = !muted;
    return this.device.gets("call:mute", { call_id: this.id, track_id: SOURCES[kind], muted });
  }

  // {pair: {local, remote}, video?, audio?, state}: of what came in.
  async stats() {
    const report = await this.pc.getStats();
    const all = [...report.values()];
    const transport = all.find((one) => one.type === "transport" && one.selectedCandidatePairId);
    const pair = transport
      ? report.get(transport.selectedCandidatePairId)
      : all.find((one) => one.type === "candidate-pair" && one.selected);
    const coming = (kind) => {
      const found = all.find((one) => one.type === "inbound-rtp" && one.kind === kind);
      return found && {
        frames: found.framesDecoded, packets: found.packetsReceived, energy: found.totalAudioEnergy,
        codec: report.get(found.codecId)?.mimeType, height: found.frameHeight,
      };
    };
    const going = all.find((one) => one.type === "outbound-rtp" && one.kind === "video");
    return {
      state: this.pc.connectionState, refused: this.refused, video: coming("video"), audio: coming("audio"),
      sends: report.get(going?.codecId)?.mimeType,
      pair: pair && { local: report.get(pair.localCandidateId), remote: report.get(pair.remoteCandidateId) },
    };
  }

  closes() {
    this.pc.close();
    for (const track of this.stream?.getTracks() ?? []) track.stop();
  }
}

// Of what the server named: by one transport, and by a numeric address or a name.
function only({ urls, username, credential }, { transport, host }) {
  const wanted = [urls].flat().filter((url) => {
    const [, scheme, named] = /^(\w+):(\[.*?\]|[^:?]+)/.exec(url);
    const by = scheme === "turn" ? (/transport=(\w+)/.exec(url)?.[1] ?? "udp") : scheme === "turns" ? "tls" : scheme;
    const kind = named.startsWith("[") ? "ipv6" : /^[\d.]+$/.test(named) ? "ipv4" : "name";
    return by === transport && (!host || kind === host);
  });
  return { urls: wanted, username, credential };
}

function plays(track) {
  const element = document.createElement(track.kind);
  element.autoplay = true;
  element.srcObject = new MediaStream([track]);
  document.body.append(element);
}
