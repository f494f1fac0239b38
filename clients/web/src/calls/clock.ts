/** The server's clock in this page: durations that another device began must not show this machine's error. */

import { useEffect, useState } from "preact/hooks";

import type { ActiveCall, Hubbub } from "@hubbub/client";

const offsets = new WeakMap<Hubbub, number>();

/** ms to add to this machine's clock. Asked for once; until it is known the machine's own is used. */
export function useServerOffset(client: Hubbub): number {
  const [offset, setOffset] = useState(offsets.get(client) ?? 0);
  useEffect(() => {
    if (offsets.has(client)) return;
    const asked = Date.now();
    client.serverInfo().then(
      ({ now }) => {
        if (now === undefined) return;
        const found = now - (asked + Date.now()) / 2;
        offsets.set(client, found);
        setOffset(found);
      },
      () => undefined,
    );
  }, [client]);
  return offset;
}

/** The server's time, drawn anew each second while it is `running`. */
export function useServerNow(client: Hubbub, running: boolean): number {
  const offset = useServerOffset(client);
  const [, draw] = useState(0);
  useEffect(() => {
    if (!running) return;
    const timer = setInterval(() => draw((count) => count + 1), 1_000);
    return () => clearInterval(timer);
  }, [running]);
  return Date.now() + offset;
}

const SINCE = "hubbub.call-since";

/** When talking began, ms of the server's clock. A page that was loaded anew connects anew: the talk is older. */
export function talkingSince(call: ActiveCall): number | undefined {
  const { id, connectedAt } = call;
  if (connectedAt === undefined) return undefined;
  try {
    const kept = JSON.parse(sessionStorage.getItem(SINCE) ?? "{}") as { id?: string; at?: number };
    if (kept.id === id && typeof kept.at === "number") return Math.min(kept.at, connectedAt);
    sessionStorage.setItem(SINCE, JSON.stringify({ id, at: connectedAt }));
  } catch {
    // Nothing may be kept: then it counts from here.
  }
  return connectedAt;
}
