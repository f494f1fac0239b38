// A person of the first_frame bench: the web SDK as an application uses it. `person` is what the bench drives.
import { Hubbub, MemoryOutboxStore, MemorySessionStore } from "./sdk/index.js";

const SMALL = { width: 320, height: 180 };

class Person {
  async joins(name, iceTransportPolicy) {
    this.client = new Hubbub({
      sessions: new MemorySessionStore(),
      outbox: new MemoryOutboxStore(),
      calls: { iceTransportPolicy },
    });
    this.name = name;
    await this.client.signUp({ username: name, password: "correct horse battery" });
    await this.client.start();
    await this.until(() => this.client.connection === "online" && this.client.calls.available);
    return this.client.me.id;
  }

  async room(userId) {
    const room = await this.client.api.createRoom({ kind: "direct", member_ids: [userId] });
    return room.id;
  }

  /** Takes every call at its first ring. */
  answers() {
    let taken = "";
    this.client.on("change", () => {
      const ringing = this.client.calls.ringing.at(-1);
      if (!ringing || ringing.call.id === taken) return;
      taken = ringing.call.id;
      void this.client.calls.accept(taken);
    });
  }

  /** ms from `call:start`, which is sent at once, to the first picture of the other side. */
  async calls(roomId) {
    const started = performance.now();
    const call = await this.client.calls.start(roomId, "video");
    await this.until(() => call.remote.some((each) => each.camera));
    const shown = await this.firstFrame(call.remote.find((each) => each.camera).camera);
    await call.leave();
    await this.over();
    return shown - started;
  }

  async over() {
    await this.until(() => !this.client.calls.current || this.client.calls.current.phase === "ended");
    this.client.calls.dismiss();
  }

  firstFrame(stream) {
    const video = Object.assign(document.createElement("video"), { ...SMALL, muted: true, srcObject: stream });
    document.body.replaceChildren(video);
    void video.play();
    return new Promise((resolve) => video.requestVideoFrameCallback(() => resolve(performance.now())));
  }

  until(condition) {
    return new Promise((resolve, reject) => {
      const limit = setTimeout(() => reject(new Error(`${this.name} waits in vain for ${condition}`)), 20_000);
      const look = () => {
        if (!condition()) return;
        clearTimeout(limit);
        off();
        resolve();
      };
      const off = this.client.on("change", look);
      look();
    });
  }
}

window.person = new Person();
