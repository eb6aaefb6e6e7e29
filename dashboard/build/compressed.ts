/** Puts a `.gz` beside each built asset: the same bytes on every machine, for the build is compared in CI. */

import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Plugin } from "vite";

/** zlib writes no time into the header; the byte at 9 names the system, so it is set to "unknown". */
const SYSTEM_BYTE = 9;
const UNKNOWN_SYSTEM = 255;

export function compressed(): Plugin {
  let folder = "";
  return {
    name: "tenuto-compressed",
    apply: "build",
    configResolved(config) {
      folder = join(config.build.outDir, config.build.assetsDir);
    },
    closeBundle() {
      for (const name of readdirSync(folder)) {
        const path = join(folder, name);
        if (!name.endsWith(".gz") && statSync(path).isFile()) writeFileSync(`${path}.gz`, gzipped(path));
      }
    },
  };
}

function gzipped(path: string): Buffer {
  const bytes = gzipSync(readFileSync(path), { level: 9 });
  bytes[SYSTEM_BYTE] = UNKNOWN_SYSTEM;
  return bytes;
}
