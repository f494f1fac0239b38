import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

import { bodyOf, type Hubbub, type Mentions, type Message, type SendOptions } from "@hubbub/client";

import { useClient } from "./client";
import { nameOf } from "./format";
import { Icon, IconButton } from "./parts";

interface ComposerProps {
  roomId: string;
  thread: number | undefined;
  reply: Message | undefined;
  editing: Message | undefined;
  onDone: () => void;
}

/** Enter sends, Shift+Enter makes a new line, Escape leaves a reply or an edit. */
export function Composer({ roomId, thread, reply, editing, onDone }: ComposerProps) {
  const client = useClient();
  const input = useRef<HTMLTextAreaElement>(null);
  const [text, setText] = useState("");

  // In the same turn as the note above the field: what is typed from then on belongs to the edit.
  useLayoutEffect(() => {
    if (editing) setText(bodyOf(editing.content) ?? "");
    if (matchMedia("(hover: hover)").matches || editing || reply) input.current?.focus();
  }, [editing, reply]);
  useEffect(() => {
    const element = input.current!;
    element.style.height = "auto";
    element.style.height = `${Math.min(element.scrollHeight, 180)}px`;
  }, [text]);
  useEffect(() => () => client.setTyping(roomId, false), [client, roomId]);

  const leave = () => {
    if (editing) setText("");
    onDone();
  };
  const submit = () => {
    const body = text.trim();
    if (body === "") return;
    if (editing) void client.edit(roomId, editing.seq, body);
    else void client.send(roomId, body, optionsFor(client, body, { thread, reply }));
    setText("");
    onDone();
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
      {(reply ?? editing) && (
        <div class="composer-note">
          <span>
            {editing ? "Editing your message" : `Reply to ${nameOf(client.people.user(reply!.sender_id))}: `}
            {reply && <span class="hint">{bodyOf(reply.content)}</span>}
          </span>
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
            setText(event.currentTarget.value);
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

function optionsFor(
  client: Hubbub,
  body: string,
  at: { thread: number | undefined; reply: Message | undefined },
): SendOptions {
  const mentions = mentionsIn(client, body);
  return {
    ...(at.thread === undefined ? {} : { thread_seq: at.thread }),
    ...(at.reply ? { reply_to: at.reply.seq } : {}),
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
