import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";

import type { Message, ViewItem } from "@hubbub/client";

import { useDesk } from "./calls/desk";
import { CallEntry } from "./calls/past/entry";
import { useClient } from "./client";
import { dayKey, dayName } from "./format";
import { MessageRow } from "./message";
import { NoticeRow } from "./notice";
import { Icon } from "./parts";

interface TimelineProps {
  roomId: string;
  /** Seq of a thread's first message: only this thread is shown. */
  thread: number | undefined;
  onReply: (message: Message) => void;
  onEdit: (message: Message) => void;
  onThread: ((seq: number) => void) | undefined;
}

/** So near to the end, in pixels, counts as being there. */
const NEAR_PX = 80;
/** So near to the top more is fetched. */
const FETCH_PX = 400;
/** Messages of one person so close together stand in one group. */
const GROUP_MS = 5 * 60_000;

export function Timeline({ roomId, thread, onReply, onEdit, onThread }: TimelineProps) {
  const client = useClient();
  const underCall = useDesk().expanded && client.calls.current !== undefined;
  const direct = client.room(roomId)?.kind === "direct";
  const items = client.items(roomId).filter((view) => belongs(view, { thread, direct }));
  const { list, atEnd, toEnd } = useScroll(items, () => {
    if (thread === undefined) void client.loadOlder(roomId).catch(() => undefined);
  });
  const marker = useMarker(roomId);
  const newest = client.room(roomId)?.head ?? 0;

  useEffect(() => {
    const look = () => {
      const seen = document.visibilityState === "visible" && !underCall && atEnd && client.isOpen(roomId);
      if (seen) client.markRead(roomId, newest);
    };
    look();
    document.addEventListener("visibilitychange", look);
    return () => document.removeEventListener("visibilitychange", look);
  }, [client, roomId, newest, atEnd, underCall, items.length]);

  const bySeq = useMemo(() => {
    const known = new Map<number, Message>();
    for (const { item } of client.items(roomId)) if (item.kind === "message") known.set(item.seq, item);
    return known;
  }, [items]);

  return (
    <div class="timeline-frame">
      <div class="timeline" ref={list} role="log" aria-label="Messages" tabIndex={0}>
        {thread === undefined && <Beginning roomId={roomId} empty={items.length === 0} />}
        <ol>
          {items.map((view, index) => (
            <Line
              key={view.key}
              view={view}
              before={items[index - 1]}
              marker={marker}
              bySeq={bySeq}
              roomId={roomId}
              onReply={onReply}
              onEdit={onEdit}
              onThread={onThread}
            />
          ))}
        </ol>
      </div>
      {!atEnd && (
        <button type="button" class="to-end" onClick={toEnd}>
          <Icon name="down" /> Newest messages
        </button>
      )}
    </div>
  );
}

/** How a room came to be is told in one line (seq 1; 2 is its maker's own entry), and not at all between two. */
function belongs({ item }: ViewItem, to: { thread: number | undefined; direct: boolean }): boolean {
  if (item.kind === "notice" && item.type === "call") return to.thread === undefined;
  if (item.kind === "notice") return to.thread === undefined && !to.direct && item.seq !== 2;
  if (to.thread === undefined) return item.thread_seq === undefined;
  return item.seq === to.thread || item.thread_seq === to.thread;
}

interface LineProps {
  view: ViewItem;
  before: ViewItem | undefined;
  marker: number;
  bySeq: ReadonlyMap<number, Message>;
  roomId: string;
  onReply: (message: Message) => void;
  onEdit: (message: Message) => void;
  onThread: ((seq: number) => void) | undefined;
}

function Line({ view, before, marker, bySeq, ...actions }: LineProps) {
  const { item } = view;
  const newDay = !before || dayKey(before.item.at) !== dayKey(item.at);
  const firstNew = marker > 0 && item.seq > marker && (!before || (before.item.seq <= marker && before.item.seq > 0));
  const follows =
    !newDay &&
    !firstNew &&
    before?.item.kind === "message" &&
    before.item.sender_id === item.sender_id &&
    item.at - before.item.at < GROUP_MS;
  return (
    <>
      {newDay && (
        <li class="day">
          <span>{dayName(item.at)}</span>
        </li>
      )}
      {firstNew && (
        <li class="new-line">
          <span>New messages</span>
        </li>
      )}
      {item.kind === "notice" && item.type === "call" ? (
        <CallEntry notice={item} roomId={actions.roomId} />
      ) : item.kind === "notice" ? (
        <NoticeRow notice={item} />
      ) : (
        <MessageRow
          view={view}
          message={item}
          follows={follows}
          quoted={item.reply_to === undefined ? undefined : (bySeq.get(item.reply_to) ?? null)}
          {...actions}
        />
      )}
    </>
  );
}

function Beginning({ roomId, empty }: { roomId: string; empty: boolean }) {
  const client = useClient();
  if (!client.isOpen(roomId)) return <p class="hint middle" role="status">Loading messages …</p>;
  if (client.hasOlder(roomId)) return <p class="hint middle">Loading older messages …</p>;
  return (
    <p class="hint middle">{empty ? "Nothing here yet. Write the first message below." : "This is the beginning."}</p>
  );
}

/**
 * The seq after which messages are new: what was read when the room was opened, or when the page was last
 * hidden. 0: nothing is new.
 */
function useMarker(roomId: string): number {
  const client = useClient();
  const at = () => {
    const room = client.room(roomId);
    return room && room.unread > 0 ? room.read_seq : 0;
  };
  const [marker, setMarker] = useState(at);
  useEffect(() => {
    const hidden = () => {
      if (document.visibilityState === "hidden") setMarker(client.room(roomId)?.read_seq ?? 0);
    };
    document.addEventListener("visibilitychange", hidden);
    return () => document.removeEventListener("visibilitychange", hidden);
  }, [client, roomId]);
  return marker;
}

/** Stays at the end when one is there, and stays in place when older messages come in above. */
function useScroll(items: readonly ViewItem[], fetchOlder: () => void) {
  const list = useRef<HTMLDivElement>(null);
  const [atEnd, setAtEnd] = useState(true);
  const held = useRef({ end: true, height: 0, first: "", mine: 0 });
  const fetch = useRef(fetchOlder);
  fetch.current = fetchOlder;

  useLayoutEffect(() => {
    const element = list.current;
    if (!element) return;
    const before = held.current;
    const first = items[0]?.key ?? "";
    const mine = items.filter((view) => view.progress === "waiting").length;
    if (before.end || mine > before.mine) element.scrollTop = element.scrollHeight;
    else if (first !== before.first) element.scrollTop += element.scrollHeight - before.height;
    held.current = { ...before, height: element.scrollHeight, first, mine };
  });

  useEffect(() => {
    const element = list.current!;
    const look = () => {
      const end = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_PX;
      held.current.end = end;
      setAtEnd(end);
      if (element.scrollTop < FETCH_PX && element.scrollHeight > element.clientHeight) fetch.current();
    };
    element.addEventListener("scroll", look, { passive: true });
    const observer = new ResizeObserver(() => {
      if (held.current.end) element.scrollTop = element.scrollHeight;
    });
    observer.observe(element);
    return () => {
      element.removeEventListener("scroll", look);
      observer.disconnect();
    };
  }, []);

  const toEnd = () => list.current?.scrollTo({ top: list.current.scrollHeight });
  return { list, atEnd, toEnd };
}
