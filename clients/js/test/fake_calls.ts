/** The server's half of calls in memory, as docs/calls.md has it: rings, accepts, takes over, waits for who vanished. */

import type { Call, CallMedia, CallReason, Participant, Source } from "../src/calls/types.js";
import type { Clock } from "../src/clock.js";
import { errorFrom } from "../src/errors.js";
import type { FakeTransport } from "./fake_server.js";

const RING_MS = 45_000;
const GRACE_MS = 15_000;
const TAKE_OVER_MS = 1_000;

interface Here {
  line: FakeTransport;
  away?: unknown;
  held: [string, unknown][];
  replaces?: string;
}

export class FakeSwitchboard {
  readonly calls = new Map<string, Call>();
  /** Every signal that was carried: `from to type`. */
  readonly carried: string[] = [];
  /** Devices in a call; more with an SFU. */
  places = 2;
  readonly reports: { by: string; path: string; body: Record<string, unknown> }[] = [];
  private readonly here = new Map<string, Here>();

  constructor(
    private readonly clock: Clock,
    private readonly links: ReadonlySet<FakeTransport>,
  ) {}

  request(line: FakeTransport, name: string, payload: Record<string, unknown>): unknown {
    const call = this.calls.get(String(payload["call_id"]));
    if (name === "call:start") return this.start(line, payload as { room_id: string; media: CallMedia });
    if (!call) throw refusal("not_found");
    if (name === "call:accept") return this.accept(line, call, payload["take_over"] === true);
    if (name === "call:decline") this.decline(call);
    if (name === "call:leave") this.leave(line.deviceId, call, "hung_up");
    if (name === "call:end") this.end(call, "hung_up");
    if (name === "call:signal") this.signal(line, call, String(payload["to_device_id"]), payload["signal"]);
    if (name === "call:mute") this.mute(line, call, payload as { track_id: Source; muted: boolean });
    return {};
  }

  opened(line: FakeTransport): void {
    for (const call of this.calls.values()) {
      const device = this.device(call, line.deviceId);
      if (call.state === "ended") continue;
      if (device) this.back(line);
      else if (call.state === "ringing") this.ring(call, [line]);
      if (call.state === "active" || device) this.to(line, "call:state", { call });
    }
  }

  closed(line: FakeTransport): void {
    const here = this.here.get(line.deviceId);
    const call = [...this.calls.values()].find((each) => this.device(each, line.deviceId));
    if (!here || here.line !== line || !call) return;
    here.away = this.clock.setTimeout(() => this.leave(line.deviceId, call, "failed"), GRACE_MS);
  }

  /** The hub was killed and came back with nothing that it had only in memory. */
  forgetHeld(): void {
    for (const here of this.here.values()) here.held = [];
  }

  private start(line: FakeTransport, { room_id, media }: { room_id: string; media: CallMedia }) {
    const running = [...this.calls.values()].find((each) => each.room_id === room_id && each.state !== "ended");
    if (running) {
      try {
        return this.accept(line, running, false);
      } catch {
        return this.joined(running);
      }
    }
    const call: Call = {
      id: `call-${this.calls.size + 1}`,
      room_id,
      media,
      mode: "p2p",
      generation: 1,
      state: "ringing",
      started_by: line.userId,
      started_at: this.clock.now(),
      participants: [],
    };
    this.calls.set(call.id, call);
    this.enter(line, call);
    this.tell(call);
    this.ring(call, [...this.links].filter((each) => each.userId !== line.userId));
    this.clock.setTimeout(() => call.state === "ringing" && this.end(call, "no_answer"), RING_MS);
    return this.joined(call);
  }

  private accept(line: FakeTransport, call: Call, takeOver: boolean) {
    if (call.state === "ended") throw refusal("conflict");
    if (this.device(call, line.deviceId)) {
      this.back(line);
      return this.joined(call);
    }
    const older = call.participants.find(({ user_id }) => user_id === line.userId);
    if (older && !takeOver) throw refusal("conflict");
    if (!older && call.participants.length >= this.places) throw refusal("unavailable");
    this.enter(line, call);
    if (older) this.replace(call, older.device_id);
    if (call.state === "ringing" && line.userId !== call.started_by) call.state = "active";
    if (call.state === "active") for (const each of call.participants) list(each, call.media);
    this.tell(call);
    return this.joined(call);
  }

  private replace(call: Call, older: string): void {
    this.clock.setTimeout(() => {
      if (call.state === "ended") return;
      call.participants = call.participants.filter(({ device_id }) => device_id !== older);
      const there = this.here.get(older);
      if (there) this.to(there.line, "call:state", { call: { ...call, reason: "answered_elsewhere" } });
      this.tell(call);
    }, TAKE_OVER_MS);
  }

  private decline(call: Call): void {
    if (call.state === "ringing") this.end(call, "declined");
  }

  private leave(deviceId: string, call: Call, reason: CallReason): void {
    if (call.state === "ended" || !this.device(call, deviceId)) return;
    this.end(call, call.state === "ringing" ? "cancelled" : reason);
  }

  private end(call: Call, reason: CallReason): void {
    Object.assign(call, { state: "ended", reason, participants: [] });
    this.tell(call);
  }

  private signal(line: FakeTransport, call: Call, to: string, signal: unknown): void {
    if (call.state === "ended") throw refusal("conflict");
    if (!this.device(call, line.deviceId)) throw refusal("forbidden");
    if (!this.device(call, to) || to === line.deviceId) throw refusal("not_found");
    this.back(line);
    this.carried.push(`${line.deviceId} ${to} ${String((signal as { type?: string } | null)?.type)}`);
    const payload = { call_id: call.id, from_device_id: line.deviceId, signal };
    const there = this.here.get(to)!;
    if (there.away === undefined) this.to(there.line, "call:signal", payload);
    else there.held.push(["call:signal", payload]);
  }

  private mute(line: FakeTransport, call: Call, { track_id, muted }: { track_id: Source; muted: boolean }): void {
    const device = this.device(call, line.deviceId);
    if (!device) throw refusal("forbidden");
    this.back(line);
    const track = device.tracks.find(({ source }) => source === track_id);
    if (track) track.muted = muted;
    else device.tracks.push(made(track_id, muted));
    this.tell(call);
  }

  private enter(line: FakeTransport, call: Call): void {
    call.participants.push({ user_id: line.userId, device_id: line.deviceId, tracks: [] });
    this.here.set(line.deviceId, { line, held: [] });
  }

  /** A device is at the line through which it spoke last. */
  private back(line: FakeTransport): void {
    const here = this.here.get(line.deviceId);
    if (!here) return;
    this.clock.clearTimeout(here.away);
    delete here.away;
    here.line = line;
    for (const [name, payload] of here.held.splice(0)) this.to(line, name, payload);
  }

  private ring(call: Call, lines: readonly FakeTransport[]): void {
    const payload = { call, expires_at: call.started_at + RING_MS };
    for (const line of lines) if (line.userId !== call.started_by) this.to(line, "call:ringing", payload);
  }

  private tell(call: Call): void {
    call.revision = (call.revision ?? 0) + 1;
    for (const line of this.links) this.to(line, "call:state", { call });
  }

  private to(line: FakeTransport, name: string, payload: unknown): void {
    const copy: unknown = structuredClone(payload);
    queueMicrotask(() => line.deliver(name as never, copy as never));
  }

  private joined(call: Call) {
    const urls = [`turn:hub:3478?at=${this.clock.now()}`];
    return structuredClone({ call, ice_servers: [{ urls, username: "1:alice", credential: "x" }] });
  }

  private device(call: Call, deviceId: string): Participant | undefined {
    return call.participants.find(({ device_id }) => device_id === deviceId);
  }
}

function list(participant: Participant, media: CallMedia): void {
  const sources: Source[] = media === "video" ? ["mic", "camera"] : ["mic"];
  for (const source of sources) {
    if (!participant.tracks.some((track) => track.source === source)) participant.tracks.push(made(source, false));
  }
}

function made(source: Source, muted: boolean) {
  const kind = source === "mic" || source === "screen_audio" ? "audio" : "video";
  return { track_id: source, kind, source, muted } as const;
}

function refusal(code: string): Error {
  return errorFrom({ code, text: `Refused: ${code}.` });
}
