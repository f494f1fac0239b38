/** The HTTP calls of the contract, by name. Each throws a HubbubError when the server refuses. */

import type { QualityReport } from "./calls/parts.js";
import type { CallQuality } from "./calls/types.js";
import type { Http } from "./http.js";
import type {
  EventPage,
  Member,
  Role,
  Room,
  RoomKind,
  ServerInfo,
  Session,
  SessionInfo,
  User,
  Visibility,
} from "./wire.js";

export interface NewRoom {
  kind: RoomKind;
  name?: string;
  member_ids?: string[];
  visibility?: Visibility;
  history?: "all" | "joined";
}

export interface SignUp {
  username: string;
  password: string;
  display_name?: string;
  email?: string;
  invite?: string;
}

export interface LogIn {
  username: string;
  password: string;
  device_id?: string;
  device_name?: string;
  platform?: string;
  /** The six digits of the second factor, or a recovery code. */
  totp?: string;
}

/** A second factor that is not confirmed yet. `uri` is for an authenticator app. */
export interface TotpSetup {
  setup: string;
  secret: string;
  uri: string;
  expires_at: number;
}

export class Api {
  constructor(private readonly http: Http) {}

  server = () => this.http.ask<ServerInfo>("GET", "/api/v1/server", { login: false });

  signUp = (body: SignUp) => this.http.ask<Session>("POST", "/api/v1/accounts", { body, login: false });

  logIn = (body: LogIn) => this.http.ask<Session>("POST", "/api/v1/sessions", { body, login: false });

  /** Exchange the code of a one-time login link. */
  useLink = (code: string) =>
    this.http.ask<Session>("POST", "/api/v1/sessions/link", { body: { code }, login: false });

  sessions = () => this.http.get<{ sessions: SessionInfo[] }>("/api/v1/sessions");

  endSession = (id: string) => this.http.ask<void>("DELETE", `/api/v1/sessions/${encodeURIComponent(id)}`);

  me = () => this.http.get<User>("/api/v1/me");

  changeMe = (body: { display_name: string }) => this.http.ask<User>("PATCH", "/api/v1/me", { body });

  /** All other sessions end. */
  changePassword = (body: { old_password: string; new_password: string }) =>
    this.http.ask<void>("POST", "/api/v1/me/password", { body });

  /** Whether a second factor is set up. */
  totp = () => this.http.get<{ enabled: boolean }>("/api/v1/me/totp");

  beginTotp = (body: { password: string }) => this.http.ask<TotpSetup>("POST", "/api/v1/me/totp", { body });

  /** The recovery codes are shown this once. */
  confirmTotp = (body: { setup: string; code: string }) =>
    this.http.ask<{ recovery_codes: string[] }>("POST", "/api/v1/me/totp/confirm", { body });

  disableTotp = (body: { password: string; totp: string }) =>
    this.http.ask<void>("POST", "/api/v1/me/totp/disable", { body });

  users = (query: string) => this.http.get<{ users: User[] }>("/api/v1/users", { query });

  user = (id: string) => this.http.get<User>(`/api/v1/users/${encodeURIComponent(id)}`);

  createRoom = (body: NewRoom) => this.http.ask<Room>("POST", "/api/v1/rooms", { body });

  room = (id: string) => this.http.get<Room>(roomPath(id));

  changeRoom = (id: string, body: { name?: string; topic?: string; visibility?: Visibility }) =>
    this.http.ask<Room>("PATCH", roomPath(id), { body });

  publicRooms = (query: string) =>
    this.http.get<{ rooms: Room[] }>("/api/v1/rooms", {
      visibility: "public",
      query: query === "" ? undefined : query,
    });

  members = (id: string, after?: string) =>
    this.http.get<{ members: Member[]; next?: string }>(`${roomPath(id)}/members`, { after });

  addMembers = (id: string, user_ids: string[]) =>
    this.http.ask<{ added: string[] }>("POST", `${roomPath(id)}/members`, { body: { user_ids } });

  changeRole = (id: string, userId: string, role: Role) =>
    this.http.ask<unknown>("PATCH", `${roomPath(id)}/members/${encodeURIComponent(userId)}`, {
      body: { role },
    });

  /** `userId` may be `me`: leave. */
  removeMember = (id: string, userId: string) =>
    this.http.ask<void>("DELETE", `${roomPath(id)}/members/${encodeURIComponent(userId)}`);

  events = (
    id: string,
    query: { after?: number; before?: number; limit?: number; view?: "events" | "messages" } = {},
  ) => this.http.get<EventPage>(`${roomPath(id)}/events`, query);

  /** What the devices of a call measured, and what the server makes of it. */
  callQuality = (id: string) => this.http.get<CallQuality>(qualityPath(id));

  /** `last`: sent even when the page goes away. */
  reportQuality = (id: string, body: QualityReport, last: boolean) =>
    this.http.ask<{ mos?: number }>("POST", qualityPath(id), { body, keepalive: last });

  /** Any other call of the server, such as those of a feature. */
  ask = <T>(method: string, path: string, body?: unknown) =>
    this.http.ask<T>(method, path, body === undefined ? {} : { body });
}

function roomPath(id: string): string {
  return `/api/v1/rooms/${encodeURIComponent(id)}`;
}

function qualityPath(callId: string): string {
  return `/api/v1/calls/${encodeURIComponent(callId)}/quality`;
}
