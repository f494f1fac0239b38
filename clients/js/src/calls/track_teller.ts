/** Makes what the server shows of this device's tracks what they are: one `call:mute` after the other. */

import type { Transport } from "../transport.js";
import { KINDS, SOURCES } from "./signal.js";
import type { Call, Source } from "./types.js";

export interface TrackState {
  call: Call;
  deviceId: string;
  sending: ReadonlySet<Source>;
}

export class TrackTeller {
  private busy = false;

  constructor(
    private readonly transport: Transport,
    /** Undefined: nothing can be said now. */
    private readonly state: () => TrackState | undefined,
    /** The server has taken it: the call as it is now. */
    private readonly told: (call: Call) => void,
  ) {}

  async tell(): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    try {
      for (let wrong = this.wrong(); wrong; wrong = this.wrong()) {
        await this.transport.request("call:mute", { call_id: wrong.call.id, ...wrong.mute });
        const now = this.state();
        if (now) this.told(withTrack(now, wrong.mute.track_id, wrong.mute.muted));
      }
    } catch {
      // Told with the next change, or when the line is back.
    } finally {
      this.busy = false;
    }
  }

  private wrong(): { call: Call; mute: { track_id: Source; muted: boolean } } | undefined {
    const state = this.state();
    const mine = state?.call.participants.find(({ device_id }) => device_id === state.deviceId);
    if (!state || !mine) return undefined;
    for (const track_id of SOURCES) {
      const listed = mine.tracks.find(({ source }) => source === track_id);
      const muted = !state.sending.has(track_id);
      if (listed ? listed.muted !== muted : !muted) return { call: state.call, mute: { track_id, muted } };
    }
    return undefined;
  }
}

function withTrack({ call, deviceId }: TrackState, source: Source, muted: boolean): Call {
  const track = { track_id: source, kind: KINDS[source], source, muted };
  const participants = call.participants.map((each) => {
    if (each.device_id !== deviceId) return each;
    return { ...each, tracks: [...each.tracks.filter((known) => known.source !== source), track] };
  });
  return { ...call, participants };
}
