/** What each event of the server means to a client. */

import type { Calls } from "./calls/calls.js";
import type { Following } from "./following.js";
import type { People } from "./people.js";
import type { ReceiptSender } from "./receipts.js";
import type { LogEvent, Receipt, ServerEvent, ServerEvents } from "./wire.js";

/** After these nobody is logged in. The others (slow, shutdown, moved) mean: connect again, which happens by itself. */
const FINAL = new Set(["revoked", "reused", "password_changed"]);

/** The parts that change with the login are asked for anew with each event. */
export interface InboundParts {
  me(): string | undefined;
  calls: Calls;
  people: People;
  following(): Following | undefined;
  receipts(): ReceiptSender;
  sessionEnded(reason: string): void;
}

type Handlers = { [Name in ServerEvent]: (payload: ServerEvents[Name]) => void };

export function inboundOf(to: InboundParts) {
  const handlers: Handlers = {
    "room:event": (event) => logged(to, event),
    "room:added": ({ room }) => to.following()?.book.updated(room),
    "room:updated": ({ room }) => to.following()?.book.updated(room),
    "room:removed": ({ room_id }) => to.following()?.forget(room_id),
    "room:receipt": (receipt) => marked(to, receipt),
    "room:typing": ({ room_id, user_id, typing }) => to.people.setTyping(room_id, user_id, typing),
    "presence:changed": ({ user_id, ...presence }) => to.people.setPresence(user_id, presence),
    "call:ringing": (ringing) => to.calls.rings(ringing),
    "call:state": (told) => to.calls.told(told),
    "call:signal": (signalled) => to.calls.signalled(signalled),
    "session:ended": ({ reason }) => {
      if (FINAL.has(reason)) to.sessionEnded(reason);
    },
  };
  return <Name extends ServerEvent>(name: Name, payload: ServerEvents[Name]): void => handlers[name](payload);
}

function logged(to: InboundParts, event: LogEvent): void {
  to.people.setTyping(event.room_id, event.sender_id, false);
  to.following()?.live(event);
}

function marked(to: InboundParts, receipt: Receipt): void {
  if (receipt.user_id === to.me()) to.receipts().confirm(receipt.room_id, receipt);
  to.following()?.receipt(receipt);
}
