// Many unmodified socket.io-clients at once: each talks by acknowledged echoes until it is through.
// usage: node many_clients.mjs URL COUNT polling-first|polling|websocket fresh|kept
// `kept`: all share an agent that keeps connections alive. Prints one JSON object.
import { createRequire } from "node:module";
import http from "node:http";

const require = createRequire(new URL("../../clients/js/package.json", import.meta.url));
const { io } = require("socket.io-client");

const [url, count, mode, connections] = process.argv.slice(2);
const transports = { "polling-first": ["polling", "websocket"], polling: ["polling"], websocket: ["websocket"] }[mode];
const agent = connections === "kept" ? new http.Agent({ keepAlive: true, maxFreeSockets: 256 }) : undefined;
const LINES = 12;

function talk(number) {
  return new Promise((resolve) => {
    const socket = io(url, { transports, agent, forceNew: true, reconnection: false });
    const end = (fault) => {
      clearTimeout(limit);
      const transport = socket.io.engine?.transport.name;
      socket.removeAllListeners();
      socket.disconnect();
      resolve({ fault, transport });
    };
    const limit = setTimeout(() => end("timed out"), 40_000);
    socket.on("connect_error", (error) => end(`connect_error ${error.message}`));
    socket.on("disconnect", (reason) => end(`disconnect ${reason}`));
    socket.on("connect", async () => {
      for (let line = 0; line < LINES; line++) {
        const said = `${number}-${line}-` + "é".repeat(line === 7 && number % 10 === 0 ? 100_000 : 5);
        const heard = await socket.emitWithAck("echo", said);
        if (heard !== said) return end("another answer");
      }
      const { engine } = socket.io;
      if (mode === "polling-first" && engine.transport.name !== "websocket") {
        await new Promise((upgraded) => engine.once("upgrade", upgraded));
        if ((await socket.emitWithAck("echo", "last")) !== "last") return end("another answer");
      }
      end(null);
    });
  });
}

const ends = await Promise.all(Array.from({ length: Number(count) }, (_, number) => talk(number)));
const faults = ends.filter((one) => one.fault !== null).map((one) => one.fault);
const used = [...new Set(ends.map((one) => one.transport))];
console.log(JSON.stringify({ through: ends.length - faults.length, faults, used }));
process.exit(0);
