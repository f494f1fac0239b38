/** Why this page's call is over, as the page says it wherever the call is shown. */

import type { ActiveCall, Hubbub } from "@hubbub/client";

import { titleOf } from "../format";
import { endWords } from "./words";

/** `byMe`: this page's person pressed the button. */
export function endedBecause(client: Hubbub, call: ActiveCall, byMe: boolean): string {
  const room = client.room(call.roomId);
  return endWords({
    reason: call.reason,
    name: room ? titleOf(client, room) : "The other side",
    direct: room?.kind === "direct",
    mine: call.call.started_by === client.me?.id,
    byMe,
  });
}
