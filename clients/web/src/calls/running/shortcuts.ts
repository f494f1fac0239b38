/** Keys of a call: single letters, never while somebody types or a dialog is open. */

import { useEffect, useRef } from "preact/hooks";

export type Shortcut = "mute" | "camera" | "share" | "full" | "pip" | "show" | "hangup" | "help";

/** `KeyboardEvent.key`, lower case. Hanging up takes two keys: a slip must not end a call. */
export const KEYS: Record<Shortcut, { key: string; shift?: boolean; text: string }> = {
  mute: { key: "m", text: "Microphone off or on" },
  camera: { key: "v", text: "Camera off or on" },
  share: { key: "s", text: "Share the screen, or stop" },
  full: { key: "f", text: "Full screen" },
  pip: { key: "p", text: "Picture in a window of its own" },
  show: { key: "c", text: "Between the call and the chat" },
  hangup: { key: "h", shift: true, text: "Hang up" },
  help: { key: "?", shift: true, text: "This help" },
};

/** As people read it: "M", "Shift+H". */
export function keyName(shortcut: Shortcut): string {
  const { key, shift } = KEYS[shortcut];
  if (key === "?") return key;
  return shift ? `Shift+${key.toUpperCase()}` : key.toUpperCase();
}

/** Where a letter is text, or chooses from a list. */
const TYPING = "input, textarea, select, [contenteditable]:not([contenteditable=false])";

export function shortcutOf(event: KeyboardEvent): Shortcut | undefined {
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || event.isComposing) return undefined;
  if (event.target instanceof Element && event.target.closest(TYPING)) return undefined;
  const pressed = event.key.toLowerCase();
  const found = (Object.keys(KEYS) as Shortcut[]).find((name) => KEYS[name].key === pressed);
  if (!found || (pressed !== "?" && event.shiftKey !== (KEYS[found].shift ?? false))) return undefined;
  return found;
}

/** While it is `on`, each key does what `acts` says. */
export function useShortcuts(on: boolean, acts: Partial<Record<Shortcut, () => void>>): void {
  const newest = useRef(acts);
  newest.current = acts;
  useEffect(() => {
    if (!on) return;
    const pressed = (event: KeyboardEvent) => {
      if (document.querySelector("dialog:modal")) return;
      const act = newest.current[shortcutOf(event) ?? ("" as Shortcut)];
      if (!act) return;
      event.preventDefault();
      act();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, [on]);
}
