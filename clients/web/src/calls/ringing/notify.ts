/** Word of a call to somebody who looks at another tab: a notification of the system, if he has allowed it. */

import { useEffect } from "preact/hooks";

import type { Ringing } from "@hubbub/client";

/** Ask once, at a press of a button of calls: browsers refuse to ask out of nothing. */
export function askNotifications(): void {
  if (typeof Notification === "undefined" || Notification.permission !== "default") return;
  void Notification.requestPermission().catch(() => undefined);
}

/** Tell of who calls while the page is hidden, and take it back when it rings no more. */
export function useCallNotification(ringing: Ringing | undefined, words: { title: string; body: string }): void {
  const callId = ringing?.call.id;
  useEffect(() => {
    if (callId === undefined || typeof Notification === "undefined") return;
    let told: Notification | undefined;
    const tell = () => {
      if (document.visibilityState === "visible") return told?.close();
      if (Notification.permission !== "granted") return;
      told = notificationOf(callId, words);
      if (told) told.onclick = () => window.focus();
    };
    tell();
    document.addEventListener("visibilitychange", tell);
    return () => {
      document.removeEventListener("visibilitychange", tell);
      told?.close();
    };
  }, [callId, words.title, words.body]);
}

function notificationOf(tag: string, { title, body }: { title: string; body: string }): Notification | undefined {
  try {
    return new Notification(title, { body, tag, icon: "/favicon.svg", requireInteraction: true });
  } catch {
    // Phones allow them to service workers only.
    return undefined;
  }
}
