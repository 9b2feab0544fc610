import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";
import { worldPlugin } from "./build/world";

// `npm run dev` shows the pages of the sources before the daemon that SIPPROT_SOCKET names: the socket
// needs no login.
const socketPath = process.env["SIPPROT_SOCKET"] ?? "/run/sipprot/sipprot.sock";

export default defineConfig({
  plugins: [svelte(), worldPlugin()],
  base: "./",
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { "/api": { target: { socketPath } as never, changeOrigin: false } } },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
});
