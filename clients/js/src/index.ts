/**
 * Client of a Hubbub server.
 *
 *     const hubbub = new Hubbub({ url: "http://127.0.0.1:8008" });
 *     await hubbub.logIn({ username: "alice", password: "correct horse" });
 *     hubbub.on("event", (event) => console.log(event.seq, event.type));
 *     const [room] = hubbub.rooms();
 *     await hubbub.openRoom(room.id);
 *     await hubbub.send(room.id, "hello");     // kept until the server has it, across reconnects and reloads
 */

export { Hubbub } from "./client.js";
export { Api } from "./api.js";
export type { LogIn, NewRoom, SignUp, TotpSetup } from "./api.js";
export { Devices, type Taken } from "./calls/devices.js";
export type { CallEnvironment, PageListener, TabChannel } from "./calls/environment.js";
export type * from "./calls/types.js";
export type { CallOptions } from "./calls/wiring.js";
export type { IceServer, Joined } from "./calls/wire.js";
export * from "./errors.js";
export { Fold } from "./fold.js";
export type { Item, Message, Notice, Reaction } from "./fold.js";
export { MemoryOutboxStore, IndexedDbOutboxStore, type OutboxStore } from "./outbox_store.js";
export type { Connection, HubbubEvents, Options, SendOptions } from "./options.js";
export type { Entry } from "./outbox.js";
export type { Marks } from "./receipts.js";
export { bodyOf, type Preview } from "./rooms.js";
export { MemorySessionStore, WebSessionStore, type KeptSession, type SessionStore } from "./session.js";
export { SocketIoTransport, type Transport, type TransportListener } from "./transport.js";
export { Timeline } from "./timeline.js";
export type { Progress, ViewItem } from "./view.js";
export type * from "./wire.js";
