/** Somebody calls: a page of its own over every view, or a small card to him who is in a call already. */

import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

import type { Ringing } from "@hubbub/client";

import { useClient } from "../../client";
import { listNames, nameOf, titleOf } from "../../format";
import { Avatar, Icon } from "../../parts";
import { useDesk } from "../desk";
import { useCallNotification } from "./notify";
import { useRing } from "./sound";

/** The newest one that rings. Others show as cards below it. */
export function Incoming() {
  const client = useClient();
  const { current, ringing } = client.calls;
  const busy = current !== undefined && current.phase !== "ended";
  const [quiet, setQuiet] = useState<ReadonlySet<string>>(new Set());
  const newest = ringing.at(-1);
  const silenced = newest === undefined || quiet.has(newest.call.id);
  const tone = silenced ? undefined : busy ? "waiting" : "ring";
  const sound = useRing(tone, client.me?.id ?? "");
  useBuzz(sound === "playing" && !busy);
  const words = useWords(newest);
  useCallNotification(newest, words);
  const silence = (callId: string) => setQuiet(new Set([...quiet, callId]));

  const page = newest && !busy && !silenced ? newest : undefined;
  const others = ringing.filter((one) => one !== page);
  const cards = others.map((one) => <Card key={one.call.id} ringing={one} busy={busy} />);
  if (!page) {
    return cards.length === 0 ? null : (
      <div class="call-cards" data-sound={sound}>
        {cards}
      </div>
    );
  }
  return (
    <RingingPage key={page.call.id} ringing={page} sound={sound} onSilence={() => silence(page.call.id)}>
      {cards}
    </RingingPage>
  );
}

function useWords(ringing: Ringing | undefined): { title: string; body: string } {
  const client = useClient();
  if (!ringing) return { title: "", body: "" };
  const { call } = ringing;
  const room = client.room(call.room_id);
  const body = call.media === "video" ? "Video call" : "Call";
  const group = room && room.kind !== "direct" ? ` in ${titleOf(client, room)}` : "";
  return { title: `${nameOf(client.people.user(call.started_by))} calls`, body: body + group };
}

/** A phone shakes. */
function useBuzz(on: boolean): void {
  useEffect(() => {
    if (!on || !navigator.vibrate || !navigator.userActivation?.hasBeenActive) return;
    const buzz = () => navigator.vibrate([400, 200, 400]);
    buzz();
    const timer = setInterval(buzz, 3_200);
    return () => {
      clearInterval(timer);
      navigator.vibrate(0);
    };
  }, [on]);
}

interface RingingPageProps {
  ringing: Ringing;
  sound: string;
  onSilence: () => void;
  /** Others who call: within the dialog, for what lies beside a modal one cannot be pressed. */
  children: ComponentChildren;
}

function RingingPage(props: RingingPageProps) {
  const client = useClient();
  const desk = useDesk();
  const { call } = props.ringing;
  const dialog = useRef<HTMLDialogElement>(null);
  const words = useWords(props.ringing);
  const name = nameOf(client.people.user(call.started_by));
  const others = call.participants.map(({ user_id }) => user_id).filter((id) => id !== call.started_by);
  useLayoutEffect(() => {
    const shown = dialog.current!;
    const before = document.activeElement;
    shown.showModal();
    // Not on a button: whoever is typing would answer with the space of his sentence.
    shown.querySelector<HTMLElement>("h2")?.focus();
    return () => {
      // The focus goes back in the moment of the end: whoever types on loses no letter. Where close() gives it back,
      // Chromium 156 lets no letter in; where a passive effect does, the first ones are lost.
      shown.remove();
      if (before instanceof HTMLElement && document.activeElement === document.body) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={dialog}
      class="ringing"
      aria-labelledby="ringing-title"
      data-sound={props.sound}
      onCancel={(event) => {
        event.preventDefault();
        props.onSilence();
      }}
    >
      <span class="ringing-picture">
        <Avatar id={call.started_by} name={name} />
      </span>
      <h2 id="ringing-title" tabIndex={-1}>
        {words.title}
      </h2>
      <p>
        {words.body}
        {others.length > 0 && `, with ${listNames(others.map((id) => nameOf(client.people.user(id))))}`}
      </p>
      <div class="ringing-answers">
        <Answer icon="hangup" label="Decline" kind="no" onClick={() => desk.decline(call.id)} />
        {call.media === "video" && (
          <Answer icon="video" label="Answer with video" kind="yes" onClick={() => desk.answer(call.id, {})} />
        )}
        <Answer
          icon="phone"
          label={call.media === "video" ? "Without camera" : "Answer"}
          kind="yes"
          onClick={() => desk.answer(call.id, { cameraOff: true })}
        />
      </div>
      <button type="button" class="link" onClick={props.onSilence}>
        Silence
      </button>
      {props.sound === "blocked" && (
        <p class="hint">Silent until you press or click something: the browser wants it so.</p>
      )}
      {props.children}
    </dialog>
  );
}

function Answer(props: { icon: "hangup" | "phone" | "video"; label: string; kind: "yes" | "no"; onClick: () => void }) {
  return (
    <button type="button" class={`answer ${props.kind}`} onClick={props.onClick}>
      <span class="round">
        <Icon name={props.icon} />
      </span>
      {props.label}
    </button>
  );
}

function Card({ ringing, busy }: { ringing: Ringing; busy: boolean }) {
  const client = useClient();
  const desk = useDesk();
  const { call } = ringing;
  const words = useWords(ringing);
  return (
    <section class="call-card" role="alert" aria-label={words.title}>
      <Avatar id={call.started_by} name={nameOf(client.people.user(call.started_by))} small />
      <span class="room-words">
        <strong>{words.title}</strong>
        <span class="hint">{words.body}</span>
      </span>
      <button type="button" class="danger" onClick={() => desk.decline(call.id)}>
        Decline
      </button>
      <button type="button" class="primary" onClick={() => desk.answer(call.id, { cameraOff: call.media === "audio" })}>
        {busy ? "Hang up and answer" : call.media === "video" ? "Answer with video" : "Answer"}
      </button>
    </section>
  );
}
