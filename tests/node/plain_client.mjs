// The unmodified socket.io-client against a server: connects by the given transports, acknowledges, hears.
// usage: node plain_client.mjs URL TOKEN ROOM_ID polling-first|websocket|polling
// Prints one JSON object.
import { createRequire } from "node:module";

const require = createRequire(new URL("../../clients/js/package.json", import.meta.url));
const { io } = require("socket.io-client");

const [url, token, roomId, mode] = process.argv.slice(2);
const transports = { "polling-first": ["polling", "websocket"], websocket: ["websocket"], polling: ["polling"] }[mode];
const socket = io(url, { transports, auth: { token }, reconnection: false });
const began = socket.io.engine.transport.name;
const limit = setTimeout(() => end({ error: "timed out" }), 15_000);

function end(result) {
  clearTimeout(limit);
  console.log(JSON.stringify(result));
  socket.disconnect();
}

function uuidv7() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  new DataView(bytes.buffer).setBigUint64(0, (BigInt(Date.now()) << 16n) | BigInt(bytes[6] << 8) | BigInt(bytes[7]));
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  const hex = Buffer.from(bytes).toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

function upgraded() {
  const { engine } = socket.io;
  if (mode !== "polling-first" || engine.transport.name === "websocket") return Promise.resolve();
  return new Promise((resolve) => engine.once("upgrade", resolve));
}

socket.on("connect_error", (error) => end({ error: error.message, data: error.data }));
socket.on("connect", async () => {
  const order = [];
  const heard = new Promise((resolve) => {
    socket.on("room:event", (event) => {
      order.push("event");
      if (event.type === "message") resolve(event);
    });
  });
  await upgraded();
  const command = { room_id: roomId, client_id: uuidv7(), content: { type: "text", body: "from node ✓" } };
  // A callback runs as its packet is read; a promise would be seen after all packets of one read.
  const ack = await new Promise((resolve) => {
    socket.emit("message:send", command, (answer) => {
      order.push("ack");
      resolve(answer);
    });
  });
  const event = await heard;
  const again = await socket.emitWithAck("message:send", command);
  const unknown = await socket.emitWithAck("no:such", {});
  const shapeless = await socket.emitWithAck("message:send", "text");
  const sync = await socket.emitWithAck("sync", {});
  const ended = socket.io.engine.transport.name;
  end({ began, ended, ack, again, event, order, unknown, shapeless, rooms: sync.data?.rooms.length });
});
