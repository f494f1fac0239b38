/** The SDK in this page: which session it uses, and how components follow it. */

import { createContext } from "preact";
import { useContext, useEffect, useState } from "preact/hooks";

import { Hubbub, WebSessionStore } from "@hubbub/client";

import { Drafts, PREFIX } from "./drafts";

const TAB_KEY = "hubbub.tab-session";

/**
 * A login by link is for this tab only, so that two people can be tried out in one browser; an ordinary login
 * is for all tabs. Drafts live and end with the login.
 */
export function createClient(byLink: boolean): { client: Hubbub; drafts: Drafts } {
  const perTab = new WebSessionStore(sessionStorage, false, TAB_KEY);
  const forAll = new WebSessionStore(localStorage, true);
  const ofTab = byLink || perTab.load() !== null;
  const client = new Hubbub({ sessions: ofTab ? perTab : forAll });
  const drafts = new Drafts(ofTab ? sessionStorage : localStorage, () => client.me?.id);
  client.on("ended", () => drafts.clear());
  addEventListener("storage", ({ key }) => {
    if (key === null || key.startsWith(PREFIX)) drafts.reload();
  });
  addEventListener("offline", () => client.suspectLine());
  addEventListener("online", () => client.retryNow());
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") client.retryNow();
  });
  return { client, drafts };
}

export const ClientContext = createContext<Hubbub>(undefined as unknown as Hubbub);

/** The client; the component is drawn again after every change, merged to one in a few milliseconds. */
export function useClient(): Hubbub {
  const client = useContext(ClientContext);
  const [, draw] = useState(0);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stop = client.on("change", () => {
      timer ??= setTimeout(() => {
        timer = undefined;
        draw((count) => count + 1);
      }, 8);
    });
    draw((count) => count + 1);
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [client]);
  return client;
}
