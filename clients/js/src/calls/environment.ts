/** What calls need of a browser: an interface that tests can fake, and the browser behind it. */

/** Tells other tabs of this browser; what they tell comes to `listen`. */
export interface TabChannel {
  post(message: unknown): void;
  listen(heard: (message: unknown) => void): void;
  close(): void;
}

export interface PageListener {
  /** Another network, or back from none. */
  networkChanged(): void;
  /** The page is closed or loaded anew. */
  leaving(): void;
}

export interface CallEnvironment {
  /** For people: why there can be no calls here. */
  readonly unavailableBecause: string | undefined;
  readonly devices: MediaDevices | undefined;
  /** What outlives a reload of this tab, and of no other. */
  readonly storage: Pick<Storage, "getItem" | "setItem" | "removeItem"> | undefined;
  peer(configuration: RTCConfiguration): RTCPeerConnection;
  stream(tracks: readonly MediaStreamTrack[]): MediaStream;
  audioContext(): AudioContext | undefined;
  /** Undefined where there are no tabs. */
  tabs(): TabChannel | undefined;
  /** Returns what ends it. */
  watchPage(listener: PageListener): () => void;
}

const CHANNEL = "hubbub.call";

/** This browser; in Node and the like, an environment that says that there are no calls. */
export function browserEnvironment(): CallEnvironment {
  return {
    get unavailableBecause() {
      return missing();
    },
    get devices() {
      return globalThis.navigator?.mediaDevices as MediaDevices | undefined;
    },
    get storage() {
      return inPage() ? readStorage() : undefined;
    },
    peer: (configuration) => new RTCPeerConnection(configuration),
    stream: (tracks) => new MediaStream([...tracks]),
    audioContext: () => (typeof AudioContext === "undefined" ? undefined : new AudioContext()),
    tabs: () => (inPage() && typeof BroadcastChannel !== "undefined" ? openChannel() : undefined),
    watchPage,
  };
}

function inPage(): boolean {
  return typeof window !== "undefined";
}

function missing(): string | undefined {
  if (inPage() && globalThis.isSecureContext === false) return "Calls need a page that was loaded by https.";
  if (typeof RTCPeerConnection === "undefined") return "This browser has no calls (WebRTC).";
  if (!globalThis.navigator?.mediaDevices) return "This browser gives no access to microphones and cameras.";
  return undefined;
}

/** A page may be forbidden to keep anything: then a reload forgets the call. */
function readStorage(): Storage | undefined {
  try {
    return globalThis.sessionStorage;
  } catch {
    return undefined;
  }
}

function openChannel(): TabChannel {
  const channel = new BroadcastChannel(CHANNEL);
  return {
    post: (message) => channel.postMessage(message),
    listen: (heard) => (channel.onmessage = (event: MessageEvent) => heard(event.data)),
    close: () => channel.close(),
  };
}

function watchPage(listener: PageListener): () => void {
  if (!inPage()) return () => undefined;
  const changed = () => listener.networkChanged();
  const leaving = () => listener.leaving();
  const connection = (navigator as Navigator & { connection?: EventTarget }).connection;
  window.addEventListener("online", changed);
  window.addEventListener("pagehide", leaving);
  connection?.addEventListener?.("change", changed);
  return () => {
    window.removeEventListener("online", changed);
    window.removeEventListener("pagehide", leaving);
    connection?.removeEventListener?.("change", changed);
  };
}
