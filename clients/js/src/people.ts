/** Who is who, who is there, and who is typing: all of it may be lost and comes back by itself. */

import type { Clock } from "./clock.js";
import type { Presence, User } from "./wire.js";

/** The server ends typing after this long; we do the same in case its word was lost. */
const TYPING_MS = 6_000;

export class People {
  private readonly users = new Map<string, User>();
  private readonly asked = new Set<string>();
  private readonly presence = new Map<string, Presence>();
  private readonly typing = new Map<string, Map<string, unknown>>();

  constructor(
    private readonly clock: Clock,
    private readonly ask: (userId: string) => Promise<User>,
    private readonly changed: () => void,
  ) {}

  know(users: readonly User[]): void {
    for (const user of users) this.users.set(user.id, user);
    if (users.length > 0) this.changed();
  }

  /** The user if he is known; if not, he is asked for and `changed` tells when he is. */
  user(userId: string): User | undefined {
    const known = this.users.get(userId);
    if (!known && !this.asked.has(userId)) {
      this.asked.add(userId);
      this.ask(userId).then(
        (user) => this.know([user]),
        () => this.clock.setTimeout(() => this.asked.delete(userId), 30_000),
      );
    }
    return known;
  }

  /** The known user of this user name (lower case). */
  named(username: string): User | undefined {
    return [...this.users.values()].find((user) => user.username.toLowerCase() === username);
  }

  presenceOf(userId: string): Presence | undefined {
    return this.presence.get(userId);
  }

  setPresence(userId: string, presence: Presence): void {
    this.presence.set(userId, presence);
    this.changed();
  }

  typingIn(roomId: string): string[] {
    return [...(this.typing.get(roomId)?.keys() ?? [])];
  }

  setTyping(roomId: string, userId: string, typing: boolean): void {
    const room = this.typing.get(roomId) ?? new Map<string, unknown>();
    this.typing.set(roomId, room);
    if (room.has(userId)) this.clock.clearTimeout(room.get(userId));
    room.delete(userId);
    if (typing) room.set(userId, this.clock.setTimeout(() => this.setTyping(roomId, userId, false), TYPING_MS));
    this.changed();
  }

  /** The line is down: what was said of presence and typing is no longer known. */
  lost(): void {
    this.presence.clear();
    for (const room of this.typing.values()) {
      for (const timer of room.values()) this.clock.clearTimeout(timer);
    }
    this.typing.clear();
    this.changed();
  }
}
