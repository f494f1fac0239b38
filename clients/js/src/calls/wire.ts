/** The socket events of calls (docs/protocol.md, "Calls"), field for field. */

import type { Call, CallMedia, Ringing } from "./types.js";

export interface IceServer {
  urls: string | string[];
  username?: string;
  credential?: string;
}

/** What start and accept answer. */
export interface Joined {
  call: Call;
  ice_servers: IceServer[];
}

type Nothing = Record<string, never>;

export interface CallClientEvents {
  "call:start": [{ room_id: string; media: CallMedia }, Joined];
  "call:accept": [{ call_id: string; take_over?: boolean }, Joined];
  "call:decline": [{ call_id: string }, Nothing];
  "call:leave": [{ call_id: string }, Nothing];
  "call:end": [{ call_id: string }, Nothing];
  "call:signal": [{ call_id: string; to_device_id: string; signal: unknown }, Nothing];
  "call:mute": [{ call_id: string; track_id: string; muted: boolean }, Nothing];
}

/** `signal` was written by the other device: anything may be in it. */
export interface Signalled {
  call_id: string;
  from_device_id: string;
  signal: unknown;
}

export interface CallServerEvents {
  "call:ringing": Ringing;
  "call:state": { call: Call };
  "call:signal": Signalled;
}
