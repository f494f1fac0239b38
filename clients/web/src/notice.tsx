import type { Hubbub, Notice } from "@hubbub/client";

import { useClient } from "./client";
import { nameOf } from "./format";

/** A line of the log that is no message. Kinds that this page does not know are not drawn. */
export function NoticeRow({ notice }: { notice: Notice }) {
  const client = useClient();
  const words = wordsOf(client, notice);
  return words === "" ? null : <li class="notice">{words}</li>;
}

function wordsOf(client: Hubbub, { type, content, sender_id }: Notice): string {
  const who = (id: unknown) => (id === client.me?.id ? "You" : nameOf(client.people.user(String(id))));
  if (type === "room") return roomWords(who(sender_id), content?.["changes"] as Record<string, unknown> | undefined);
  if (type !== "member" || !content) return "";
  const user = who(content["user_id"]);
  const by = who(content["by"]);
  switch (content["change"]) {
    case "joined":
      return `${user} joined`;
    case "added":
      return by === user ? `${user} joined` : `${by} added ${user === "You" ? "you" : user}`;
    case "left":
      return `${user} left`;
    case "removed":
      return `${by} removed ${user === "You" ? "you" : user}`;
    case "role":
      return `${by} made ${user === "You" ? "you" : user} ${String(content["role"] ?? "member")}`;
    default:
      return "";
  }
}

function roomWords(by: string, changes: Record<string, unknown> | undefined): string {
  if (!changes) return "";
  if ("kind" in changes) return `${by} made this room`;
  const told: string[] = [];
  if (typeof changes["name"] === "string") told.push(`the name to “${changes["name"]}”`);
  if (typeof changes["topic"] === "string") told.push(`the topic to “${changes["topic"]}”`);
  return told.length > 0 ? `${by} changed ${told.join(" and ")}` : `${by} changed the settings`;
}
