/** What the views of calls share: which one is shown, and what a press of a button begins. */

import { createContext } from "preact";
import { useContext, useEffect, useMemo, useRef, useState } from "preact/hooks";

import { asHubbubError, type CallMedia, type Hubbub } from "@hubbub/client";

import { askNotifications } from "./ringing/notify";
import { choiceOf, prefer, preferences } from "./devices/preferences";
import { FULL } from "./words";

/** What will be done once the devices were looked at. */
export interface Intent {
  roomId: string;
  media: CallMedia;
}

export interface CallDesk {
  /** The call fills the page; else it is a small tile over whatever is read. */
  readonly expanded: boolean;
  readonly intent: Intent | undefined;
  readonly problem: string;
  /** Whether this page's person ended the last call himself. */
  readonly byMe: boolean;
  /** The call list, or one call's quality, is open. */
  readonly listOpen: boolean;
  readonly devicesOpen: boolean;
  readonly qualityOf: string | undefined;
  call(roomId: string, media: CallMedia): void;
  /** After the devices were looked at, or given up. */
  proceed(go: boolean): void;
  answer(callId: string, how: { cameraOff?: boolean; takeOver?: boolean }): void;
  decline(callId: string): void;
  hangUp(forAll?: boolean): void;
  dismiss(): void;
  expand(on: boolean): void;
  showList(on: boolean): void;
  showDevices(on: boolean): void;
  showQuality(callId: string | undefined): void;
  clearProblem(): void;
}

export const DeskContext = createContext<CallDesk>(undefined as unknown as CallDesk);

export const useDesk = (): CallDesk => useContext(DeskContext);

const CLOSED = {
  expanded: false,
  intent: undefined as Intent | undefined,
  problem: "",
  byMe: false,
  listOpen: false,
  devicesOpen: false,
  qualityOf: undefined as string | undefined,
};

/** The one desk of a page. */
export function useNewDesk(client: Hubbub): CallDesk {
  const [shown, setShown] = useState(CLOSED);
  const current = client.calls.current?.id;
  const last = useRef<string | undefined>(undefined);
  useEffect(() => {
    // A call that came back after a reload is shown as it was.
    if (current !== last.current) setShown((now) => ({ ...now, expanded: current !== undefined }));
    last.current = current;
  }, [current]);
  const acts = useMemo(() => actsOf(client, (change) => setShown((now) => ({ ...now, ...change }))), [client]);
  const proceed = (go: boolean) => {
    const { intent } = shown;
    setShown((now) => ({ ...now, intent: undefined }));
    if (go && intent) acts.begin(intent);
  };
  return { ...shown, ...acts, proceed };
}

type Change = Partial<typeof CLOSED>;

function actsOf(client: Hubbub, show: (change: Change) => void) {
  /** A start or accept is under way: the second click of a double one is no second call. */
  let entering = false;
  const attempt = (act: Promise<unknown>) => {
    show({ problem: "" });
    return act.catch((refusal: unknown) => show({ problem: asHubbubError(refusal).message }));
  };
  const enter = (act: () => Promise<unknown>) => {
    if (entering) return;
    entering = true;
    // Whatever was open lies over no call.
    show({ ...CLOSED, expanded: true });
    void attempt(act()).finally(() => (entering = false));
  };
  const begin = ({ roomId, media }: Intent) => {
    prefer({ checkFirst: false });
    askNotifications();
    enter(() => client.calls.start(roomId, media, choiceOf(preferences())));
  };
  return {
    begin,
    call: (roomId: string, media: CallMedia) => {
      const { calls } = client;
      const running = calls.inRoom(roomId);
      if (calls.current?.phase === "ended") calls.dismiss();
      if (!calls.available) show({ problem: calls.unavailableBecause ?? "" });
      else if (calls.current) {
        if (calls.current.roomId === roomId) show({ expanded: true });
        else show({ problem: "You are in another call. Hang up first." });
      } else if (running && !calls.hasPlace(running)) {
        show({ problem: `A call runs there already. ${FULL}` });
      } else if (preferences().checkFirst) show({ intent: { roomId, media } });
      else begin({ roomId, media });
    },
    answer: (callId: string, { cameraOff = false, takeOver = false }) => {
      const { calls } = client;
      if (calls.current?.phase === "ended") calls.dismiss();
      enter(() => calls.accept(callId, { ...choiceOf(preferences()), cameraOff }, takeOver));
    },
    decline: (callId: string) => void attempt(client.calls.decline(callId)),
    hangUp: (forAll = false) => {
      const call = client.calls.current;
      if (!call || call.phase === "ended") return;
      show({ byMe: true });
      void attempt(forAll ? call.endForAll() : call.leave());
    },
    dismiss: () => client.calls.dismiss(),
    expand: (expanded: boolean) => {
      if (!expanded && client.calls.current?.phase === "ended") client.calls.dismiss();
      show({ expanded });
    },
    showList: (listOpen: boolean) => show({ listOpen }),
    showDevices: (devicesOpen: boolean) => show({ devicesOpen }),
    showQuality: (qualityOf: string | undefined) => show({ qualityOf }),
    clearProblem: () => show({ problem: "" }),
  };
}
