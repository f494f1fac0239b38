/** Client ids: UUIDv7 (RFC 9562, section 5.7), dated by the server's clock. */

/** Fills 10 bytes; `crypto.getRandomValues` unless a test says otherwise. */
export type RandomBytes = (length: number) => Uint8Array;

const cryptoBytes: RandomBytes = (length) => globalThis.crypto.getRandomValues(new Uint8Array(length));

/**
 * A UUIDv7.
 *
 * @param now milliseconds since the Unix epoch, below 2^48.
 */
export function uuidv7(now: number, random: RandomBytes = cryptoBytes): string {
  const bytes = new Uint8Array(16);
  let rest = Math.floor(now);
  for (let index = 5; index >= 0; index -= 1) {
    bytes[index] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  bytes.set(random(10), 6);
  bytes[6] = 0x70 | (bytes[6]! & 0x0f);
  bytes[8] = 0x80 | (bytes[8]! & 0x3f);
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** Makes client ids that ascend within this process, also when the clock steps back. */
export class ClientIds {
  private last = 0;

  constructor(
    private readonly now: () => number,
    private readonly random: RandomBytes = cryptoBytes,
  ) {}

  next(): string {
    const now = this.now();
    // A step back of more than a minute is a correction of the clock: follow it, or ids would stay in the future.
    this.last = now > this.last || now < this.last - 60_000 ? now : this.last + 1;
    return uuidv7(this.last, this.random);
  }
}
