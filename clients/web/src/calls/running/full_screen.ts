/**
 * The call on the whole screen. Only one element of a page is shown there, and it is the page itself: who else calls and
 * whatever is asked stays in sight. The stylesheet leaves the list of rooms out meanwhile.
 */

export function toggleFull(): void {
  if (document.fullscreenElement) leaveFull();
  else document.documentElement.requestFullscreen().catch(() => undefined);
}

/** Also when the call makes room for the chat: nobody asked for that on the whole screen. */
export function leaveFull(): void {
  if (document.fullscreenElement) document.exitFullscreen().catch(() => undefined);
}
