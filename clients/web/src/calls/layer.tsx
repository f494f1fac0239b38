/** Everything of calls that lies over the page: the call itself, who rings, and the dialogs. */

import { useState } from "preact/hooks";

import type { ActiveCall } from "@hubbub/client";

import { useClient } from "../client";
import { nameOf, titleOf } from "../format";
import { Dialog } from "../parts";
import { CallList } from "./past/call_list";
import { actsOf, type CallActs } from "./running/controls";
import { useDesk } from "./desk";
import { DeviceCheck, DevicesInCall } from "./devices/device_picker";
import { endedBecause } from "./ending";
import { FloatingCall } from "./running/floating";
import { toggleFull } from "./running/full_screen";
import { useFading, useWatch } from "./running/how_it_was";
import { Incoming } from "./ringing/incoming";
import { KeysHelp } from "./running/keys_help";
import { usePreferences } from "./devices/preferences";
import { usePip } from "./running/pip";
import { QualityDialog } from "./past/quality_page";
import { useShortcuts } from "./running/shortcuts";
import { usePhaseSigns, useTone, Voices } from "./ringing/sound";
import { Stage } from "./running/stage";

export function CallLayer({ onRoom }: { onRoom: (roomId: string) => void }) {
  const client = useClient();
  const desk = useDesk();
  const call = client.calls.current;
  return (
    <>
      <Incoming />
      {call && <Running key={call.id} call={call} onRoom={onRoom} />}
      <LiveWords />
      {(desk.intent || (desk.devicesOpen && (!call || call.phase === "ended"))) && <DeviceCheck />}
      {desk.devicesOpen && call && call.phase !== "ended" && <DevicesInCall />}
      {desk.listOpen && <CallList onRoom={onRoom} />}
      {desk.qualityOf !== undefined && <QualityDialog key={desk.qualityOf} callId={desk.qualityOf} />}
      {desk.problem && <CallProblem text={desk.problem} onClose={desk.clearProblem} />}
    </>
  );
}

function Running({ call, onRoom }: { call: ActiveCall; onRoom: (roomId: string) => void }) {
  const desk = useDesk();
  const { keys } = usePreferences();
  const pip = usePip(call);
  const [help, setHelp] = useState(false);
  const live = call.phase !== "ended";
  useWatch(call);
  useFading(call, desk, desk.dismiss);
  usePhaseSigns(call.phase);
  useTone(call.phase === "ringing" ? "ring_back" : undefined);
  const acts = actsOf(call, {
    // The chat of those who talk, whatever was read when it rang.
    show: () => (desk.expanded ? onRoom(call.roomId) : desk.expand(true)),
    full: toggleFull,
    pip: pip.toggle,
    hangUp: () => desk.hangUp(),
    help: () => setHelp(true),
  });
  useShortcuts(live && keys, keysOf(acts));
  return (
    <>
      {desk.expanded ? <Stage call={call} acts={acts} /> : <FloatingCall call={call} acts={acts} />}
      {live && <Voices call={call} />}
      {pip.element}
      {help && <KeysHelp onClose={() => setHelp(false)} />}
    </>
  );
}

function keysOf(acts: CallActs) {
  const { mute, camera, share, full, pip, show, hangUp, help } = acts;
  return { mute, camera, share, full, help, hangup: hangUp, show, ...(pip ? { pip } : {}) };
}

/** What changes in a call, for those who listen instead of looking. */
function LiveWords() {
  const client = useClient();
  const desk = useDesk();
  const call = client.calls.current;
  const room = call && client.room(call.roomId);
  const name = room ? titleOf(client, room) : "";
  const silent = call?.phase === "connected" ? call.remote.filter((one) => !one.sending.has("mic")) : [];
  return (
    <p class="hidden-words" aria-live="polite">
      {call?.phase === "ringing" && `Calling ${name}`}
      {call?.phase === "connecting" && "Connecting"}
      {call?.phase === "connected" && `Connected with ${name}. `}
      {call?.phase === "reconnecting" && "Connection lost, reconnecting"}
      {call?.phase === "ended" && endedBecause(client, call, desk.byMe)}
      {silent.map((one) => `${nameOf(client.people.user(one.user_id))} has the microphone off. `)}
    </p>
  );
}

function CallProblem({ text, onClose }: { text: string; onClose: () => void }) {
  return (
    <Dialog title="No call" onClose={onClose}>
      <p>{text}</p>
      {!isSecureContext && (
        <p class="hint">
          Browsers give microphone and camera only to pages that nobody on the way can change. Open this server by its
          https address, or on the server’s own machine as http://localhost. Whoever runs the server finds how to add a
          certificate in its documentation.
        </p>
      )}
    </Dialog>
  );
}
