import { fileURLToPath } from "node:url";

import { defineConfig } from "vitest/config";

const server = process.env["HUBBUB_URL"] ?? "http://127.0.0.1:8008";

export default defineConfig({
  // Built from the SDK's sources: one step less, and dead code goes.
  resolve: { alias: { "@hubbub/client": fileURLToPath(new URL("../js/src/index.ts", import.meta.url)) } },
  // The page allows `default-src 'self'` only: nothing may become a data: URL or an inline script.
  build: { assetsInlineLimit: 0, modulePreload: { polyfill: false }, target: "es2022" },
  server: {
    proxy: { "/api": server, "/socket.io": { target: server, ws: true } },
  },
  test: { include: ["test/**/*.test.ts"], passWithNoTests: true },
});
