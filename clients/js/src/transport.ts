/** The socket under the client: an interface that tests can fake, and socket.io-client behind it. */

import { io, type Socket } from "socket.io-client";

import { errorFrom, Offline } from "./errors.js";
import { SERVER_EVENTS, type Ack, type ClientEvent, type ClientEvents, type ServerEvents } from "./wire.js";

export interface TransportListener {
  connected(): void;
  /** `refused`: the server does not accept the token. Otherwise the line is down and will be tried again. */
  disconnected(reason: "refused" | "lost"): void;
  received<Name extends keyof ServerEvents>(name: Name, payload: ServerEvents[Name]): void;
}

export interface Transport {
  readonly connected: boolean;
  /** Connect, and again by itself whenever the line is lost, until `close`. */
  open(listener: TransportListener, token: () => Promise<string>): void;
  /** The machine has lost its network: do not wait for a ping to find out, connect anew. */
  drop(): void;
  /** Try again now instead of at the end of the current pause. */
  retry(): void;
  /**
   * Send and wait for the acknowledgement.
   *
   * @throws HubbubError as the server refused; {@link Offline} when no answer came: the event may have
   *     been carried out.
   */
  request<Name extends ClientEvent>(
    name: Name,
    payload: ClientEvents[Name][0],
  ): Promise<ClientEvents[Name][1]>;
  close(): void;
}

/** No acknowledgement after this long counts as none. */
const ACK_TIMEOUT_MS = 10_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;

export class SocketIoTransport implements Transport {
  private socket: Socket | undefined;
  private pause: ReturnType<typeof setTimeout> | undefined;
  private pauseMs = FIRST_PAUSE_MS;

  /** @param transports as in socket.io-client; the second is tried when the first cannot be had. */
  constructor(
    private readonly url: string,
    private readonly transports: ("websocket" | "polling")[] = ["websocket", "polling"],
  ) {}

  get connected(): boolean {
    return this.socket?.connected ?? false;
  }

  open(listener: TransportListener, token: () => Promise<string>): void {
    this.close();
    const socket = io(this.url, {
      autoConnect: false,
      forceNew: true,
      transports: this.transports,
      tryAllTransports: true,
      // Pauses are ours: socket.io does not come back after a refusal or after the server closed.
      reconnection: false,
      auth: (give) => {
        token().then(
          (value) => give({ token: value }),
          () => this.fail(socket, listener),
        );
      },
    });
    this.socket = socket;
    socket.on("connect", () => {
      this.pauseMs = FIRST_PAUSE_MS;
      listener.connected();
    });
    socket.on("disconnect", () => {
      if (this.socket !== socket) return;
      listener.disconnected("lost");
      this.again(socket);
    });
    socket.on("connect_error", (error: Error & { data?: { code?: string } }) => {
      if (this.socket !== socket) return;
      const refused = error.data?.code === "unauthorized";
      listener.disconnected(refused ? "refused" : "lost");
      this.again(socket);
    });
    for (const name of SERVER_EVENTS) {
      socket.on(name, (payload: ServerEvents[typeof name]) => listener.received(name, payload));
    }
    socket.connect();
  }

  drop(): void {
    this.socket?.io.engine?.close();
  }

  retry(): void {
    if (!this.socket || this.socket.connected || this.pause === undefined) return;
    clearTimeout(this.pause);
    this.pause = undefined;
    this.socket.connect();
  }

  async request<Name extends ClientEvent>(
    name: Name,
    payload: ClientEvents[Name][0],
  ): Promise<ClientEvents[Name][1]> {
    // socket.io would queue it for after the reconnect; the outbox does that better.
    if (!this.socket?.connected) throw new Offline();
    let answer: Ack<ClientEvents[Name][1]>;
    try {
      answer = (await this.socket.timeout(ACK_TIMEOUT_MS).emitWithAck(name, payload)) as typeof answer;
    } catch {
      throw new Offline();
    }
    if (!answer.ok) throw errorFrom(answer.error);
    return answer.data;
  }

  close(): void {
    const socket = this.socket;
    this.socket = undefined;
    clearTimeout(this.pause);
    this.pause = undefined;
    this.pauseMs = FIRST_PAUSE_MS;
    socket?.disconnect();
  }

  private fail(socket: Socket, listener: TransportListener): void {
    if (this.socket !== socket) return;
    socket.disconnect();
    listener.disconnected("lost");
    this.again(socket);
  }

  private again(socket: Socket): void {
    clearTimeout(this.pause);
    // Between half and the whole pause, so that clients of a server that restarts do not come at once.
    const wait = this.pauseMs * (0.5 + Math.random() / 2);
    this.pauseMs = Math.min(this.pauseMs * 2, LONGEST_PAUSE_MS);
    this.pause = setTimeout(() => {
      this.pause = undefined;
      if (this.socket === socket) socket.connect();
    }, wait);
  }
}
