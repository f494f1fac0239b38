/** What this browser remembers for calls: devices, and whether to look at them first. */

import { useEffect, useState } from "preact/hooks";

import type { MediaChoice } from "@hubbub/client";

export interface Preferences {
  mic: string;
  camera: string;
  speaker: string;
  /** Show picture and level before each call. On until the first call was made. */
  checkFirst: boolean;
  /** Single keys act in a call (WCAG 2.1.4: they can be switched off). */
  keys: boolean;
}

const KEY = "hubbub.calls";
const FRESH: Preferences = { mic: "", camera: "", speaker: "", checkFirst: true, keys: true };

const listeners = new Set<() => void>();
let kept: Preferences | undefined;

export function preferences(): Preferences {
  kept ??= { ...FRESH, ...read() };
  return kept;
}

export function prefer(change: Partial<Preferences>): void {
  kept = { ...preferences(), ...change };
  try {
    localStorage.setItem(KEY, JSON.stringify(kept));
  } catch {
    // A page that may keep nothing: then it is for this visit.
  }
  for (const listener of listeners) listener();
}

export function usePreferences(): Preferences {
  const [, draw] = useState(0);
  useEffect(() => {
    const listener = () => draw((count) => count + 1);
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }, []);
  return preferences();
}

/** For the SDK. */
export function choiceOf({ mic, camera, speaker }: Preferences): MediaChoice {
  return { mic, camera, speaker };
}

function read(): Partial<Preferences> {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "{}") as Partial<Preferences>;
  } catch {
    return {};
  }
}
