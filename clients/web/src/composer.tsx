import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

import { bodyOf, type Hubbub, type Mentions, type Message, type SendOptions } from "@hubbub/client";

import { useClient } from "./client";
import { placeOf, useDraft, useDrafts } from "./drafts";
import { nameOf } from "./format";
import { Icon, IconButton } from "./parts";

interface ComposerProps {
  roomId: string;
  thread: number | undefined;
  editing: Message | undefined;
  onEdited: () => void;
}

/**
 * Enter sends, Shift+Enter makes a new line, Escape leaves a reply or an edit. What is typed is a draft until it is
 * sent; an edit is none, and the draft waits for its end.
 */
export function Composer({ roomId, thread, editing, onEdited }: ComposerProps) {
  const client = useClient();
  const drafts = useDrafts();
  const place = placeOf(roomId, thread);
  const draft = useDraft(place);
  const input = useRef<HTMLTextAreaElement>(null);
  const [edited, setEdited] = useState("");
  const text = editing ? edited : draft.text;
  const write = (text: string) => (editing ? setEdited(text) : drafts.change(place, { text }));
  const waited = useRef(draft.reply);

  // In the same turn as the note above the field: what is typed from then on belongs to the edit.
  useLayoutEffect(() => {
    if (editing) setEdited(bodyOf(editing.content) ?? "");
    // On a phone the keyboard comes up for what was pressed, not for a reply that waited here.
    const pressed = editing !== undefined || (draft.reply !== undefined && draft.reply !== waited.current);
    waited.current = draft.reply;
    if (matchMedia("(hover: hover)").matches || pressed) input.current?.focus();
  }, [editing, draft.reply]);
  useEffect(() => {
    const element = input.current!;
    element.style.height = "auto";
    element.style.height = `${Math.min(element.scrollHeight, 180)}px`;
  }, [text]);
  useEffect(() => () => client.setTyping(roomId, false), [client, roomId]);

  const leave = () => {
    if (editing) onEdited();
    else drafts.change(place, { reply: undefined });
  };
  const submit = () => {
    const body = text.trim();
    if (body === "") return;
    if (editing) {
      void client.edit(roomId, editing.seq, body);
      onEdited();
    } else {
      void client.send(roomId, body, optionsFor(client, body, { thread, reply: draft.reply }));
      drafts.change(place, { text: "", reply: undefined });
    }
    input.current?.focus();
  };
  const key = (event: KeyboardEvent) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      submit();
    }
    if (event.key === "Escape") leave();
  };

  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      {(editing || draft.reply !== undefined) && (
        <div class="composer-note">
          <span>{editing ? "Editing your message" : <Answered roomId={roomId} seq={draft.reply!} />}</span>
          <IconButton icon="close" label={editing ? "Stop editing" : "Do not reply"} onClick={leave} />
        </div>
      )}
      <div class="composer-row">
        <textarea
          ref={input}
          rows={1}
          value={text}
          maxLength={16_384}
          aria-label={thread === undefined ? "Message" : "Reply in the thread"}
          placeholder={thread === undefined ? "Write a message" : "Reply in the thread"}
          enterkeyhint="send"
          onInput={(event) => {
            write(event.currentTarget.value);
            client.setTyping(roomId, event.currentTarget.value !== "");
          }}
          onKeyDown={key}
          onBlur={() => client.setTyping(roomId, false)}
        />
        <button type="submit" class="send" aria-label="Send" title="Send" disabled={text.trim() === ""}>
          <Icon name="send" />
        </button>
      </div>
    </form>
  );
}

/** The message that is being replied to, as far as it is loaded. */
function Answered({ roomId, seq }: { roomId: string; seq: number }) {
  const client = useClient();
  const message = client.items(roomId).find(({ item }) => item.kind === "message" && item.seq === seq)?.item;
  if (message?.kind !== "message") return <>Reply to a message further up</>;
  return (
    <>
      {`Reply to ${nameOf(client.people.user(message.sender_id))}: `}
      <span class="hint">{bodyOf(message.content) ?? "Message deleted"}</span>
    </>
  );
}

function optionsFor(
  client: Hubbub,
  body: string,
  at: { thread: number | undefined; reply: number | undefined },
): SendOptions {
  const mentions = mentionsIn(client, body);
  return {
    ...(at.thread === undefined ? {} : { thread_seq: at.thread }),
    ...(at.reply === undefined ? {} : { reply_to: at.reply }),
    ...(mentions ? { mentions } : {}),
  };
}

/** `@name` of somebody known, `@room` for all. */
function mentionsIn(client: Hubbub, body: string): Mentions | undefined {
  const names = [...body.matchAll(/(?:^|\s)@([A-Za-z0-9_.-]*[A-Za-z0-9_])/g)].map((match) => match[1]!.toLowerCase());
  const ids = names.map((name) => client.people.named(name)?.id).filter((id) => id !== undefined);
  const room = names.includes("room");
  if (ids.length === 0 && !room) return undefined;
  return { ...(ids.length > 0 ? { user_ids: [...new Set(ids)] } : {}), ...(room ? { room: true } : {}) };
}
