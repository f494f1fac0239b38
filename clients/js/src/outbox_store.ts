/** Where unacknowledged commands survive a reload: IndexedDB in a browser, memory elsewhere. */

import type { Entry } from "./outbox.js";

export interface OutboxStore {
  /** Everything kept for this user, in no particular order. */
  load(userId: string): Promise<Entry[]>;
  put(userId: string, entry: Entry): Promise<void>;
  remove(userId: string, clientId: string): Promise<void>;
}

export class MemoryOutboxStore implements OutboxStore {
  private readonly entries = new Map<string, Entry>();

  async load(userId: string): Promise<Entry[]> {
    return [...this.entries].filter(([key]) => key.startsWith(`${userId} `)).map(([, entry]) => entry);
  }

  async put(userId: string, entry: Entry): Promise<void> {
    this.entries.set(`${userId} ${entry.client_id}`, entry);
  }

  async remove(userId: string, clientId: string): Promise<void> {
    this.entries.delete(`${userId} ${clientId}`);
  }
}

const STORE = "entries";

/** One database, one object store keyed by [user, client_id]. */
export class IndexedDbOutboxStore implements OutboxStore {
  private opened: Promise<IDBDatabase> | undefined;

  constructor(private readonly name = "hubbub-outbox") {}

  async load(userId: string): Promise<Entry[]> {
    const range = IDBKeyRange.bound([userId, ""], [userId, "\uffff"]);
    const rows = await this.run<{ entry: Entry }[]>("readonly", (store) => store.getAll(range));
    return rows.map((row) => row.entry);
  }

  async put(userId: string, entry: Entry): Promise<void> {
    await this.run("readwrite", (store) => store.put({ user: userId, client: entry.client_id, entry }));
  }

  async remove(userId: string, clientId: string): Promise<void> {
    await this.run("readwrite", (store) => store.delete([userId, clientId]));
  }

  private async run<T>(
    mode: IDBTransactionMode,
    ask: (store: IDBObjectStore) => IDBRequest,
  ): Promise<T> {
    const database = await (this.opened ??= this.open());
    return new Promise((resolve, reject) => {
      const transaction = database.transaction(STORE, mode);
      const request = ask(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result as T);
      transaction.onerror = () => reject(transaction.error ?? new Error("IndexedDB refused"));
      transaction.onabort = transaction.onerror;
    });
  }

  private open(): Promise<IDBDatabase> {
    return new Promise((resolve, reject) => {
      const request = indexedDB.open(this.name, 1);
      request.onupgradeneeded = () =>
        request.result.createObjectStore(STORE, { keyPath: ["user", "client"] });
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error ?? new Error("IndexedDB cannot be opened"));
    });
  }
}

/** IndexedDB where there is one, else memory. A private window may refuse IndexedDB: then memory too. */
export function defaultOutboxStore(): OutboxStore {
  if (typeof indexedDB === "undefined") return new MemoryOutboxStore();
  return new FallbackOutboxStore(new IndexedDbOutboxStore(), new MemoryOutboxStore());
}

class FallbackOutboxStore implements OutboxStore {
  private store: OutboxStore;

  constructor(
    first: OutboxStore,
    private readonly second: OutboxStore,
  ) {
    this.store = first;
  }

  load(userId: string): Promise<Entry[]> {
    return this.attempt((store) => store.load(userId));
  }

  put(userId: string, entry: Entry): Promise<void> {
    return this.attempt((store) => store.put(userId, entry));
  }

  remove(userId: string, clientId: string): Promise<void> {
    return this.attempt((store) => store.remove(userId, clientId));
  }

  private async attempt<T>(ask: (store: OutboxStore) => Promise<T>): Promise<T> {
    try {
      return await ask(this.store);
    } catch (refused) {
      if (this.store === this.second) throw refused;
      this.store = this.second;
      return ask(this.store);
    }
  }
}
