/** The client of a Hubbub server: one object for one login. */

import { Api, type LogIn, type SignUp } from "./api.js";
import { Attention } from "./attention.js";
import type { Calls } from "./calls/calls.js";
import type { CallsApi } from "./calls/types.js";
import { callsOf, type CallOptions } from "./calls/wiring.js";
import { ServerClock, systemClock, type Clock } from "./clock.js";
import { Emitter } from "./emitter.js";
import { Unauthorized } from "./errors.js";
import { Following } from "./following.js";
import { Http } from "./http.js";
import { ClientIds } from "./ids.js";
import { inboundOf } from "./inbound.js";
import type { Connection, HubbubEvents, Options, SendOptions } from "./options.js";
import type { Acknowledged, Entry } from "./outbox.js";
import { defaultOutboxStore, type OutboxStore } from "./outbox_store.js";
import { People } from "./people.js";
import { ReceiptSender, type Marks } from "./receipts.js";
import type { Preview } from "./rooms.js";
import { Sender } from "./sender.js";
import { MemorySessionStore, SessionChannel, type KeptSession, type SessionStore } from "./session.js";
import { SocketIoTransport, type Transport } from "./transport.js";
import { viewOf, type ViewItem } from "./view.js";
import type {
  Content,
  LogEvent,
  Member,
  Room,
  ServerEvent,
  ServerEvents,
  ServerInfo,
  Session,
  Status,
  User,
} from "./wire.js";

const SYNC_AGAIN_MS = 2_000;

export class Hubbub {
  readonly api: Api;
  readonly people: People;
  private readonly events = new Emitter<HubbubEvents>();
  private readonly clock: Clock;
  private readonly serverClock: ServerClock;
  private readonly sessions: SessionStore;
  private readonly channel: SessionChannel;
  private readonly http: Http;
  private readonly transport: Transport;
  private readonly outboxStore: OutboxStore;
  private readonly ids: ClientIds;
  private kept: KeptSession | null = null;
  private following: Following | undefined;
  private sender: Sender | undefined;
  private receipts: ReceiptSender;
  private readonly attention: Attention;
  private readonly calling: Calls;
  /** Grows with every connect and disconnect: an answer of an older line is not used. */
  private line = 0;
  private state: Connection = "closed";
  /** `logOut` is under way: the server tells of the end of the session before it answers. */
  private leaving = false;
  private readonly inbound: <Name extends ServerEvent>(name: Name, payload: ServerEvents[Name]) => void;

  constructor(options: Options = {}) {
    const url = (options.url ?? "").replace(/\/$/, "");
    this.clock = options.clock ?? systemClock;
    this.serverClock = new ServerClock(this.clock);
    this.ids = new ClientIds(() => this.serverClock.now());
    this.sessions = options.sessions ?? new MemorySessionStore();
    this.outboxStore = options.outbox ?? defaultOutboxStore();
    this.http = new Http(url, this.sessions, this.clock, options.fetch, () => this.end("expired"));
    this.api = new Api(this.http);
    this.transport = options.transport ?? new SocketIoTransport(url);
    this.receipts = new ReceiptSender(this.transport, this.clock);
    this.people = new People(this.clock, (id) => this.api.user(id), () => this.changed());
    this.attention = new Attention(this.transport, this.clock, this.people);
    this.calling = this.newCalls(options.calls);
    this.inbound = inboundOf({
      me: () => this.kept?.user.id,
      calls: this.calling,
      people: this.people,
      following: () => this.following,
      receipts: () => this.receipts,
      sessionEnded: (reason) => this.end(reason),
    });
    this.channel = new SessionChannel((id) => {
      if (this.sessions.shared && this.kept?.session_id === id) this.end("logged_out");
    });
  }

  on<Name extends keyof HubbubEvents>(
    name: Name,
    listener: (payload: HubbubEvents[Name]) => void,
  ): () => void {
    return this.events.on(name, listener);
  }

  /** Calls: who rings, and the one this device is in. */
  get calls(): CallsApi {
    return this.calling;
  }

  // ---- session -------------------------------------------------------------------------------------

  /** The login kept from before, if there is one; valid until the server says otherwise. */
  get session(): Session | null {
    return this.kept ?? this.sessions.load();
  }

  get me(): User | null {
    return this.session?.user ?? null;
  }

  async signUp(body: SignUp): Promise<void> {
    await this.begin(await this.api.signUp(body));
  }

  /** @throws Unauthorized with `field` "totp" when the second factor is needed or wrong. */
  async logIn(body: LogIn): Promise<void> {
    await this.begin(await this.api.logIn(body));
  }

  /** Log in by the code of a one-time link. */
  async useLink(code: string): Promise<void> {
    await this.begin(await this.api.useLink(code));
  }

  /** End this session on the server, as far as it can be reached, and here in any case. */
  async logOut(): Promise<void> {
    const sessionId = this.kept?.session_id;
    this.leaving = true;
    await this.calls.current?.leave();
    try {
      await this.api.endSession("current");
    } catch {
      // Offline, or over already: the tokens are forgotten here all the same.
    }
    this.end("logged_out");
    this.leaving = false;
    if (sessionId && this.sessions.shared) this.channel.ended(sessionId);
  }

  async setDisplayName(name: string): Promise<void> {
    const user = await this.api.changeMe({ display_name: name });
    const session = this.sessions.load();
    if (session) this.sessions.save({ ...session, user });
    if (this.kept) this.kept = { ...this.kept, user };
    this.people.know([user]);
  }

  /** Connect with the kept session and stay connected. False: nobody is logged in. */
  async start(): Promise<boolean> {
    const session = this.sessions.load();
    if (!session) return false;
    if (this.state !== "closed") return true;
    this.kept = session;
    const userId = session.user.id;
    this.following = this.newFollowing(userId);
    this.people.know([session.user]);
    this.sender = this.newSender(userId);
    this.setState("connecting");
    const loaded = this.sender.load();
    this.transport.open(
      {
        connected: () => {
          this.calling.connected();
          if (!this.calling.informed) void this.serverInfo().catch(() => undefined);
          void this.connected();
        },
        disconnected: (reason) => this.disconnected(reason),
        received: (name, payload) => this.received(name, payload),
      },
      () => this.http.token(),
    );
    void this.serverInfo().catch(() => undefined);
    await loaded;
    return true;
  }

  /** Close the line and forget what is in memory; the session and the outbox stay. */
  stop(): void {
    this.line += 1;
    this.calling.close();
    this.transport.close();
    this.sender?.close();
    this.sender = undefined;
    this.following?.close();
    this.following = undefined;
    this.receipts.close();
    this.receipts = new ReceiptSender(this.transport, this.clock);
    this.kept = null;
    this.setState("closed");
  }

  /** What the server offers. Also sets the clock by which ids are dated. */
  async serverInfo(): Promise<ServerInfo> {
    const asked = this.clock.now();
    const info = await this.api.server();
    if (typeof info.now === "number") this.serverClock.learn(info.now, asked);
    this.calling.offered(info.features ?? []);
    return info;
  }

  // ---- reading -------------------------------------------------------------------------------------

  get connection(): Connection {
    return this.state;
  }

  /** Commands that the server has not acknowledged, refused ones included. */
  get waiting(): number {
    return this.sender?.waiting ?? 0;
  }

  /** The newest activity first. */
  rooms(): Room[] {
    return this.following?.book.list() ?? [];
  }

  room(roomId: string): Room | undefined {
    return this.following?.book.get(roomId);
  }

  preview(roomId: string): Preview | undefined {
    return this.following?.book.preview(roomId);
  }

  isOpen(roomId: string): boolean {
    return this.following?.get(roomId)?.opening === false;
  }

  hasOlder(roomId: string): boolean {
    return this.following?.get(roomId)?.timeline.hasOlder ?? false;
  }

  /** What to show of an open room, oldest first, one's own waiting messages last. */
  items(roomId: string): ViewItem[] {
    const room = this.following?.get(roomId);
    if (!room || !this.kept) return [];
    return viewOf(room.fold.items, {
      me: this.kept.user.id,
      waiting: this.sender?.of(roomId) ?? [],
      acknowledged: room.acknowledged,
      marks: this.marksIn(roomId),
      memberCount: this.room(roomId)?.member_count ?? 2,
    });
  }

  /** Others' receipts in a room, as far as they were heard. */
  marksIn(roomId: string): ReadonlyMap<string, Marks> {
    return this.following?.marksIn(roomId) ?? new Map();
  }

  // ---- rooms ---------------------------------------------------------------------------------------

  /** Follow a room: its newest events are fetched and from then on kept complete. */
  async openRoom(roomId: string): Promise<void> {
    await this.following?.follow(roomId);
  }

  async loadOlder(roomId: string): Promise<void> {
    await this.following?.get(roomId)?.older();
    this.changed();
  }

  /** All members; their users become known. */
  async members(roomId: string): Promise<Member[]> {
    const members: Member[] = [];
    for (let after: string | undefined; ; ) {
      const page = await this.api.members(roomId, after);
      members.push(...page.members);
      this.following?.marksOf(roomId, page.members);
      this.people.know(page.members.map((member) => member.user));
      if (!page.next) return members;
      after = page.next;
    }
  }

  /** Fetch the newest message of rooms that show none yet. */
  async loadPreviews(count = 20): Promise<void> {
    const book = this.following?.book;
    const bare = this.rooms().filter((room) => !this.preview(room.id) && room.head > 0);
    for (const room of bare.slice(0, count)) {
      const page = await this.api.events(room.id, { limit: 1, view: "messages" });
      for (const event of page.events) book?.show(event);
    }
    if (bare.length > 0) this.changed();
  }

  /** Take over a room that an HTTP call answered, without waiting for the socket to tell. */
  addRoom(room: Room): void {
    this.following?.book.updated(room);
    this.changed();
  }

  // ---- commands ------------------------------------------------------------------------------------

  /** Send a text. Returns its client id as soon as it is kept here; the rest happens by itself. */
  send(roomId: string, body: string, options: SendOptions = {}): Promise<string> {
    this.setTyping(roomId, false);
    return this.sendContent(roomId, { type: "text", body }, options);
  }

  sendContent(roomId: string, content: Content, options: SendOptions = {}): Promise<string> {
    return this.need().add("message:send", { room_id: roomId, content, ...options });
  }

  edit(roomId: string, seq: number, body: string): Promise<string> {
    return this.need().add("message:edit", { room_id: roomId, seq, content: { type: "text", body } });
  }

  delete(roomId: string, seq: number): Promise<string> {
    return this.need().add("message:delete", { room_id: roomId, seq });
  }

  react(roomId: string, seq: number, emoji: string, add: boolean): Promise<string> {
    return this.need().add(add ? "reaction:add" : "reaction:remove", { room_id: roomId, seq, emoji });
  }

  retry(clientId: string): Promise<void> {
    return this.need().retry(clientId);
  }

  discard(clientId: string): Promise<void> {
    return this.need().forget(clientId);
  }

  /** Everything up to `seq` has been read. Told to the server soon, and only if it is news. */
  markRead(roomId: string, seq: number): void {
    if (seq <= (this.room(roomId)?.read_seq ?? 0)) return;
    this.following?.book.read(roomId, seq);
    this.receipts.note(roomId, { read_seq: seq });
    this.changed();
  }

  /** Say that the user types, or has stopped. May be called on every key. */
  setTyping(roomId: string, typing: boolean): void {
    this.attention.setTyping(roomId, typing);
  }

  setPresence(status: Status, text?: string): Promise<void> {
    return this.attention.setPresence(status, text);
  }

  /** Be told of these people's presence from now on, also after a reconnect. Replaces the set. */
  watchPresence(userIds: readonly string[]): void {
    this.attention.watch(userIds);
  }

  /** Connect anew: call it when the machine says that the network is gone, which a ping would tell much later. */
  suspectLine(): void {
    this.transport.drop();
  }

  /** Try to connect now: call it when the machine says that the network is back. */
  retryNow(): void {
    this.transport.retry();
  }

  // ---- inside --------------------------------------------------------------------------------------

  private async begin(session: Session): Promise<void> {
    this.stop();
    this.http.keep(session);
    await this.start();
  }

  private newSender(userId: string): Sender {
    const { transport, outboxStore: store, ids, clock, serverClock } = this;
    const listener = {
      acknowledged: (entry: Acknowledged) => {
        this.following?.acknowledged(entry);
        this.changed();
      },
      failed: (entry: Entry) => this.events.emit("failed", entry),
      changed: () => this.changed(),
    };
    return new Sender(userId, { transport, store, ids, clock, serverClock, listener });
  }

  private newFollowing(userId: string): Following {
    const { api, transport, clock, serverClock } = this;
    const listener = {
      event: (event: LogEvent) => this.events.emit("event", event),
      stored: (clientId: string) => void this.sender?.forget(clientId),
      delivered: (roomId: string, seq: number) => this.receipts.note(roomId, { delivered_seq: seq }),
      ownMark: (roomId: string, seq: number) =>
        this.receipts.confirm(roomId, { read_seq: seq, delivered_seq: seq }),
      removed: (roomId: string) => this.receipts.forget(roomId),
      changed: () => this.changed(),
    };
    return new Following(userId, { api, transport, clock, serverClock }, listener);
  }

  private newCalls(options?: CallOptions): Calls {
    const { transport, api, clock, serverClock } = this;
    const listener = { session: () => this.kept, changed: () => this.changed() };
    return callsOf({ transport, api, clock, serverClock }, listener, options);
  }

  private need(): Sender {
    if (!this.sender) throw new Unauthorized({ code: "unauthorized", text: "Please log in." });
    return this.sender;
  }

  private changed(): void {
    this.events.emit("change", undefined);
  }

  private setState(state: Connection): void {
    if (state === this.state) return;
    this.state = state;
    this.events.emit("connection", state);
    this.changed();
  }

  private end(reason: string): void {
    if (this.state === "closed" && !this.kept) return;
    this.sessions.clear();
    this.stop();
    this.events.emit("ended", { reason: this.leaving ? "logged_out" : reason });
  }

  private async connected(): Promise<void> {
    const line = (this.line += 1);
    this.setState("syncing");
    this.sender?.pump();
    this.receipts.flush();
    this.attention.connected();
    try {
      await this.following?.sync(() => line === this.line);
    } catch {
      // The line went (then the next connect syncs), or the server is unwell: again on this line.
      if (line === this.line) this.clock.setTimeout(() => line === this.line && void this.connected(), SYNC_AGAIN_MS);
      return;
    }
    if (line !== this.line) return;
    this.setState("online");
    void this.loadPreviews().catch(() => undefined);
  }

  private disconnected(reason: "refused" | "lost"): void {
    this.line += 1;
    this.sender?.disconnected();
    this.attention.disconnected();
    this.calling.disconnected();
    if (this.state !== "closed") this.setState("connecting");
    if (reason === "refused" && this.kept) void this.renewToken();
  }

  private async renewToken(): Promise<void> {
    const refused = this.sessions.load()?.access_token;
    try {
      await this.http.renew(refused ?? "");
      this.transport.retry();
    } catch {
      // Over: `end` was called. Not reached: the transport tries again by itself.
    }
  }

  private received<Name extends keyof ServerEvents>(name: Name, payload: ServerEvents[Name]): void {
    this.inbound(name, payload);
    this.changed();
  }
}
