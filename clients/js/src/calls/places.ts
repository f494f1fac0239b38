/** Who may come into a call that runs. Pure. */

import type { Call } from "./types.js";

/** A direct call connects two devices. */
const DIRECT_DEVICES = 2;
/** The name among the server's `features` for an SFU: it carries calls of more than two. */
const SFU = "sfu";

/**
 * Whether the server would let a device of this person in. Whoever is in already may come with another device, which
 * takes the call over. The third makes a call `sfu`: that takes a server with an SFU, or a call that has become one.
 */
export function hasPlace(call: Call, userId: string | undefined, features: readonly string[]): boolean {
  if (call.participants.some(({ user_id }) => user_id === userId)) return true;
  return call.participants.length < DIRECT_DEVICES || call.mode === "sfu" || features.includes(SFU);
}
