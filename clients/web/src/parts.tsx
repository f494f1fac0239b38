/** Small things that several views draw. */

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

import type { Presence } from "@hubbub/client";

import { colourOf, initialsOf } from "./format";

export function Avatar(props: { id: string; name: string; presence?: Presence | undefined; small?: boolean }) {
  const status = props.presence?.status;
  return (
    <span class={`avatar colour-${colourOf(props.id)}${props.small ? " small" : ""}`} aria-hidden="true">
      {initialsOf(props.name)}
      {status && status !== "offline" && <span class={`dot ${status}`} />}
    </span>
  );
}

const PATHS = {
  send: "M3.400 20.400 21 12 3.400 3.600l.003 6.533L15 12l-11.597 1.867z",
  back: "M15 5l-7 7 7 7",
  plus: "M12 5v14M5 12h14",
  gear: "M4 7h10M18 7h2M4 17h2M10 17h10M16 4.500v5M8 14.500v5",
  people: "M9 11a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7zM2.500 20c0-3.500 3-5.500 6.500-5.500s6.500 2 6.500 5.500M16 4.500a3.500 3.500 0 0 1 0 6.500M18 14.800c2.300.7 3.500 2.500 3.500 5.200",
  reply: "M9 6 4 11l5 5M4 11h9a7 7 0 0 1 7 7v1",
  thread: "M4 5h16v10H11l-5 4v-4H4z",
  smile: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM8.500 14.500c1.800 2.300 5.200 2.300 7 0M9 9.500v.01M15 9.500v.01",
  pencil: "M4 20l1-4L16.500 4.500l3 3L8 19z",
  bin: "M5 7h14M10 7V4.500h4V7M7 7l1 13h8l1-13",
  close: "M6 6l12 12M18 6 6 18",
  clock: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 7.500V12l3 2",
  tick: "M5 12.500l4.500 4.500L19 7.500",
  ticks: "M2 12.500 6.500 17 15 8M11 15.500l1.500 1.500L22 7.500",
  warning: "M12 4 2.500 20h19zM12 10v4.500M12 17.200v.01",
  down: "M6 9l6 6 6-6",
  phone: "M6.500 3.500h3L11 8 9 9.500a12 12 0 0 0 5.500 5.500l1.500-2 4.500 1.500v3c0 1.400-1.100 2.500-2.500 2.400C10.500 19.400 4.600 13.500 4.100 6c-.1-1.400 1-2.500 2.400-2.500z",
  calls: "M14 5h7.500M14 9h7.500M17 13h4.500M4.500 4.500h2.200l1.500 3.700-1.600 1.200a10 10 0 0 0 4.600 4.600l1.200-1.600 3.700 1.500v2.400c0 1.200-1 2.100-2.100 2C7.700 17.900 2.900 13 2.400 6.600c-.1-1.100.9-2.100 2.100-2.100z",
  missed: "M16 3.500l5 5M21 3.500l-5 5M6.500 3.500h3L11 8 9 9.500a12 12 0 0 0 5.500 5.500l1.500-2 4.500 1.500v3c0 1.400-1.100 2.500-2.500 2.400C10.500 19.400 4.600 13.500 4.100 6c-.1-1.400 1-2.500 2.400-2.500z",
  hangup: "M2.500 14.200c5.400-5.200 13.600-5.200 19 0l-1.900 3.100-4.400-1.600v-2.500c-2.100-.6-4.300-.6-6.400 0v2.500l-4.400 1.600z",
  video: "M3.500 6.500h11v11h-11zM14.500 10.800l6-3.300v9l-6-3.300",
  video_off: "M3.500 6.500h11v11h-11zM14.500 10.800l6-3.300v9l-6-3.300M3 3l18 18",
  mic: "M12 3.500a3 3 0 0 1 3 3v5a3 3 0 0 1-6 0v-5a3 3 0 0 1 3-3zM6 11a6 6 0 0 0 12 0M12 17v3.500",
  mic_off: "M12 3.500a3 3 0 0 1 3 3v5a3 3 0 0 1-6 0v-5a3 3 0 0 1 3-3zM6 11a6 6 0 0 0 12 0M12 17v3.500M4 3l16 18",
  screen: "M3.500 5h17v11.500h-17zM9 20h6M12 16.500V20M12 13.200V8.500M9.800 10.600 12 8.400l2.200 2.200",
  speaker: "M5 9.500v5h3.500L13 18V6L8.500 9.500zM16 9.200a4 4 0 0 1 0 5.600M18.500 7a7 7 0 0 1 0 10",
  full: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  pip: "M3.500 5h17v14h-17zM12.500 12h5.500v4.500h-5.500z",
  smaller: "M4 14h6v6M10 14l-6.500 6.500M20 10h-6V4M14 10l6.500-6.500",
  keyboard: "M3 7h18v10H3zM7 10.300v.01M11 10.300v.01M15 10.300v.01M8 13.800h8",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM16 16l4.500 4.500",
} as const;

export type IconName = keyof typeof PATHS;

/** A drawing without words: the control around it carries the label. */
export function Icon({ name }: { name: IconName }) {
  return (
    <svg class={`icon icon-${name}`} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

export function IconButton(props: { icon: IconName; label: string; onClick: () => void; pressed?: boolean }) {
  return (
    <button
      type="button"
      class="icon-button"
      aria-label={props.label}
      title={props.label}
      aria-pressed={props.pressed}
      onClick={props.onClick}
    >
      <Icon name={props.icon} />
    </button>
  );
}

/** A modal dialog: the browser keeps the focus inside and closes it on Escape. */
export function Dialog(props: { title: string; onClose: () => void; children: ComponentChildren }) {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    element.current?.showModal();
  }, []);
  return (
    <dialog ref={element} class="dialog" aria-labelledby="dialog-title" onClose={props.onClose}>
      <header class="dialog-head">
        <h2 id="dialog-title">{props.title}</h2>
        <IconButton icon="close" label="Close" onClick={() => element.current?.close()} />
      </header>
      <div class="dialog-body">{props.children}</div>
    </dialog>
  );
}

export function Field(props: {
  label: string;
  name: string;
  type?: string;
  hint?: string;
  value?: string;
  required?: boolean;
  autocomplete?: string;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  autofocus?: boolean;
  inputmode?: "numeric" | "text";
}) {
  const { label, hint, value, autofocus, ...rest } = props;
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (autofocus) input.current?.focus();
  }, [autofocus]);
  const id = `field-${props.name}`;
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input ref={input} id={id} defaultValue={value ?? ""} aria-describedby={hint ? `${id}-hint` : undefined} {...(rest as JSX.IntrinsicElements["input"])} />
      {hint && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  );
}

/** A refusal, announced. Empty: nothing is drawn, but the live region stays so that the next one is read. */
export function Problem({ text }: { text: string }) {
  return (
    <p class="problem" role="alert" hidden={text === ""}>
      {text}
    </p>
  );
}

/** The values of a form's named fields, trimmed. */
export function valuesOf(form: HTMLFormElement): Record<string, string> {
  const values: Record<string, string> = {};
  for (const [name, value] of new FormData(form)) {
    if (typeof value === "string") values[name] = name.includes("password") ? value : value.trim();
  }
  return values;
}
