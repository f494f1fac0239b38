/** How calls are joined to the rest of a client. */

import type { Session } from "../wire.js";
import { Calls } from "./calls.js";
import { browserEnvironment, type CallEnvironment } from "./environment.js";
import type { CallParts } from "./parts.js";

export interface CallOptions {
  /** `relay`: media goes through the server's TURN only; the other side does not learn this machine's address. */
  iceTransportPolicy?: RTCIceTransportPolicy;
  environment?: CallEnvironment;
}

interface Listener {
  /** Who is logged in. */
  session: () => Session | null;
  changed: () => void;
}

export function callsOf(
  parts: Omit<CallParts, "environment" | "iceTransportPolicy">,
  { session, changed }: Listener,
  { iceTransportPolicy = "all", environment = browserEnvironment() }: CallOptions = {},
): Calls {
  const me = () => {
    const login = session();
    return login ? { userId: login.user.id, deviceId: login.device.id } : undefined;
  };
  return new Calls({ ...parts, environment, iceTransportPolicy }, me, changed);
}
