/** What the parts of a call share: the line, the clock, the browser. */

import type { Clock, ServerClock } from "../clock.js";
import type { Transport } from "../transport.js";
import type { CallEnvironment } from "./environment.js";
import type { CallQuality, CandidatePair, QualityWindow } from "./types.js";

export interface QualityReport {
  setup_ms?: number;
  pair?: CandidatePair;
  windows: readonly QualityWindow[];
}

/** The HTTP calls of the quality record. */
export interface QualityApi {
  callQuality(callId: string): Promise<CallQuality>;
  /** `last`: also when the page goes away meanwhile. */
  reportQuality(callId: string, report: QualityReport, last: boolean): Promise<unknown>;
}

export interface CallParts {
  transport: Transport;
  api: QualityApi;
  clock: Clock;
  serverClock: ServerClock;
  environment: CallEnvironment;
  /** `relay`: through the server's TURN only, so that the other side does not learn this machine's address. */
  iceTransportPolicy: RTCIceTransportPolicy;
}

/** Who this is. */
export interface Me {
  userId: string;
  deviceId: string;
}
