/** How the page is built: into the Python package, as files with content hashes and nothing inline. */

import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { cleared } from "./build/cleared.ts";
import { compressed } from "./build/compressed.ts";

const HOST = process.env.TENUTO_URL ?? "http://127.0.0.1:7071";
const PROXIED = ["/admin", "/session", "/runtime", "/healthz", "/openapi.json"];

export default defineConfig({
  /** The server puts its prefix before these addresses in index.html. */
  base: "/dashboard/",
  experimental: {
    /** Files name each other relative to themselves, so that they know no prefix. */
    renderBuiltUrl: (_name, { hostType }) => (hostType === "html" ? undefined : { relative: true }),
  },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  plugins: [cleared(), compressed()],
  build: {
    outDir: fileURLToPath(new URL("../src/tenuto/dashboard", import.meta.url)),
    assetsDir: "assets",
    /** The folder holds Python too: `build/cleared.ts` empties only its assets. */
    emptyOutDir: false,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
    reportCompressedSize: false,
  },
  server: { proxy: Object.fromEntries(PROXIED.map((path) => [path, { target: HOST }])) },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
});
