/** What this page saw of a call's quality while it ran. */

import { useEffect, useReducer } from "preact/hooks";

import type { ActiveCall } from "@hubbub/client";

/** So long a bad connection, ms, or such a share of the call, is worth a question at the end. */
const BAD_MS = 10_000;
const BAD_SHARE = 0.15;
const LOOK_MS = 1_000;

interface Memory {
  seenMs: number;
  badMs: number;
  /** This machine's clock; 0: it runs. */
  endedAt: number;
}

const memories = new WeakMap<ActiveCall, Memory>();

function memoryOf(call: ActiveCall): Memory {
  const known = memories.get(call) ?? { seenMs: 0, badMs: 0, endedAt: 0 };
  memories.set(call, known);
  return known;
}

/** Keep watching a call, wherever it is shown. */
export function useWatch(call: ActiveCall | undefined): void {
  useEffect(() => {
    if (!call) return;
    const memory = memoryOf(call);
    const timer = setInterval(() => {
      if (call.connectedAt === undefined || call.phase === "ended") return;
      memory.seenMs += LOOK_MS;
      if (call.quality.level <= 1) memory.badMs += LOOK_MS;
    }, LOOK_MS);
    return () => clearInterval(timer);
  }, [call]);
}

/** After an ordinary end the call goes by itself: nobody wants to close a window after each one. */
const ORDINARY_MS = 6_000;
const OWN_MS = 1_500;

/** Let an ended call go, soon or late; on the stage it stays while there is something to ask or to press. */
export function useFading(
  call: ActiveCall,
  { byMe, expanded }: { byMe: boolean; expanded: boolean },
  dismiss: () => void,
) {
  const { bad } = useHowItWas(call);
  const ended = call.phase === "ended";
  const stays = expanded && (bad || (call.reason !== "hung_up" && !byMe));
  useEffect(() => {
    if (!ended || stays) return;
    const timer = setTimeout(dismiss, byMe && !bad ? OWN_MS : ORDINARY_MS);
    return () => clearTimeout(timer);
  }, [ended, stays, byMe, bad]);
}

export function useHowItWas(call: ActiveCall): { bad: boolean; endedAt: number } {
  const [, draw] = useReducer((count: number) => count + 1, 0);
  const memory = memoryOf(call);
  useEffect(() => {
    if (memory.endedAt === 0 && call.phase === "ended") {
      memory.endedAt = Date.now();
      draw(undefined);
    }
  }, [call, call.phase]);
  const { badMs, seenMs, endedAt } = memory;
  const bad =
    (call.connectedAt !== undefined && call.reason === "failed") || badMs >= BAD_MS || badMs > seenMs * BAD_SHARE;
  return { bad, endedAt: endedAt || Date.now() };
}
