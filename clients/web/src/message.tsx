import { useState } from "preact/hooks";

import { bodyOf, type Hubbub, type Message, type Progress, type ViewItem } from "@hubbub/client";

import { useClient } from "./client";
import { linkPieces, listNames, momentOf, nameOf, timeOf } from "./format";
import { Avatar, Icon, IconButton, type IconName } from "./parts";

const EMOJI = ["👍", "❤️", "😂", "🎉", "😮", "😢", "🙏", "👀"];

interface MessageRowProps {
  view: ViewItem;
  message: Message;
  /** The message before is of the same person, moments ago: no name and no picture again. */
  follows: boolean;
  /** The message this one answers; null: it is not loaded. */
  quoted: Message | null | undefined;
  roomId: string;
  onReply: (message: Message) => void;
  onEdit: (message: Message) => void;
  onThread: ((seq: number) => void) | undefined;
}

export function MessageRow(props: MessageRowProps) {
  const { view, message, follows, quoted } = props;
  const client = useClient();
  const mine = message.sender_id === client.me?.id;
  const sender = nameOf(client.people.user(message.sender_id));
  const classes = ["message", mine ? "mine" : "theirs", follows ? "follows" : "", view.progress];
  return (
    <li class={classes.join(" ")} data-seq={message.seq} data-progress={view.progress}>
      {!mine && <span class="message-picture">{!follows && <Avatar id={message.sender_id} name={sender} small />}</span>}
      <div class="message-main">
        {!follows && !mine && <span class="message-sender">{sender}</span>}
        {(follows || mine) && <span class="hidden-words">{mine ? "You" : sender}: </span>}
        <div class="bubble">
          {quoted !== undefined && <Quote client={client} message={quoted} />}
          <Body client={client} message={message} />
          <span class="message-meta">
            {message.edited_seq !== undefined && !message.gone && <span>edited</span>}
            <time dateTime={new Date(message.at).toISOString()} title={momentOf(message.at)}>
              {timeOf(message.at)}
            </time>
            {mine && <ProgressMark progress={view.progress} />}
          </span>
        </div>
        <Reactions client={client} roomId={props.roomId} message={message} />
        {message.thread && props.onThread && (
          <button type="button" class="thread-link" onClick={() => props.onThread?.(message.seq)}>
            <Icon name="thread" /> {message.thread.count} {message.thread.count === 1 ? "reply" : "replies"}
          </button>
        )}
        {view.progress === "failed" && <Failure client={client} view={view} />}
      </div>
      {message.seq > 0 && !message.gone && <Actions {...props} client={client} mine={mine} />}
    </li>
  );
}

function Body({ client, message }: { client: Hubbub; message: Message }) {
  if (message.gone || message.content === null) {
    const words = message.gone === "expired" ? "This message has expired." : "This message was deleted.";
    return <p class="body gone">{words}</p>;
  }
  if (message.content.type !== "text") return <p class="body gone">This page cannot show this message.</p>;
  return (
    <p class="body" dir="auto">
      {linkPieces(bodyOf(message.content) ?? "").map((piece) =>
        piece.href ? (
          <a href={piece.href} target="_blank" rel="noopener noreferrer nofollow">
            {piece.text}
          </a>
        ) : (
          <MentionWords client={client} text={piece.text} on={message.mentions !== undefined} />
        ),
      )}
    </p>
  );
}

function MentionWords({ client, text, on }: { client: Hubbub; text: string; on: boolean }) {
  if (!on) return <>{text}</>;
  const mine = `@${client.me?.username ?? ""}`;
  return (
    <>
      {text.split(/(@[A-Za-z0-9_.-]*[A-Za-z0-9_])/).map((part, index) =>
        index % 2 === 0 ? part : <span class={part === mine ? "mentioned me" : "mentioned"}>{part}</span>,
      )}
    </>
  );
}

function Quote({ client, message }: { client: Hubbub; message: Message | null }) {
  if (!message) return <blockquote class="quote">An older message</blockquote>;
  return (
    <blockquote class="quote">
      <strong>{nameOf(client.people.user(message.sender_id))}</strong>
      <span>{message.gone ? "Deleted message" : (bodyOf(message.content) ?? "")}</span>
    </blockquote>
  );
}

const MARKS: Record<Progress, [IconName, string] | undefined> = {
  none: undefined,
  waiting: ["clock", "Waiting to be sent"],
  failed: ["warning", "Not sent"],
  sent: ["tick", "Sent"],
  delivered: ["ticks", "Delivered"],
  read: ["ticks", "Read"],
};

function ProgressMark({ progress }: { progress: Progress }) {
  const mark = MARKS[progress];
  if (!mark) return null;
  return (
    <span class={`progress ${progress}`} role="img" aria-label={mark[1]} title={mark[1]}>
      <Icon name={mark[0]} />
    </span>
  );
}

function Reactions({ client, roomId, message }: { client: Hubbub; roomId: string; message: Message }) {
  if (message.reactions.length === 0) return null;
  return (
    <div class="reactions">
      {message.reactions.map((reaction) => {
        const names = listNames(reaction.user_ids.map((id) => nameOf(client.people.user(id))));
        return (
          <button
            type="button"
            key={reaction.emoji}
            class="reaction"
            aria-pressed={reaction.mine}
            aria-label={`${reaction.emoji} ${reaction.count}, by ${names}`}
            title={names}
            onClick={() => void client.react(roomId, message.seq, reaction.emoji, !reaction.mine)}
          >
            {reaction.emoji} {reaction.count}
          </button>
        );
      })}
    </div>
  );
}

function Failure({ client, view }: { client: Hubbub; view: ViewItem }) {
  return (
    <p class="failure" role="alert">
      Not sent: {view.error}
      <button type="button" class="link" onClick={() => void client.retry(view.key)}>
        Try again
      </button>
      <button type="button" class="link" onClick={() => void client.discard(view.key)}>
        Discard
      </button>
    </p>
  );
}

function Actions(props: MessageRowProps & { client: Hubbub; mine: boolean }) {
  const { client, message, mine, roomId } = props;
  const [picking, setPicking] = useState(false);
  const role = client.room(roomId)?.role;
  const mayDelete = mine || role === "owner" || role === "admin";
  const react = (emoji: string) => {
    setPicking(false);
    const had = message.reactions.some((reaction) => reaction.emoji === emoji && reaction.mine);
    void client.react(roomId, message.seq, emoji, !had);
  };
  return (
    <div class={`actions${picking ? " open" : ""}`} role="group" aria-label="Actions for this message">
      {picking ? (
        <>
          {EMOJI.map((emoji) => (
            <button type="button" class="emoji" key={emoji} aria-label={`React with ${emoji}`} onClick={() => react(emoji)}>
              {emoji}
            </button>
          ))}
          <IconButton icon="close" label="Close the emoji" onClick={() => setPicking(false)} />
        </>
      ) : (
        <>
          <IconButton icon="smile" label="React" onClick={() => setPicking(true)} />
          <IconButton icon="reply" label="Reply" onClick={() => props.onReply(message)} />
          {props.onThread && (
            <IconButton icon="thread" label="Reply in a thread" onClick={() => props.onThread?.(message.seq)} />
          )}
          {mine && <IconButton icon="pencil" label="Edit" onClick={() => props.onEdit(message)} />}
          {mayDelete && (
            <IconButton icon="bin" label="Delete" onClick={() => void client.delete(roomId, message.seq)} />
          )}
        </>
      )}
    </div>
  );
}
