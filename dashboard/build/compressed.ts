/**
 * Puts a `.gz` beside each built asset: the same bytes on every machine, for CI builds anew and compares.
 *
 * With a compressor in JavaScript: what Node's own makes of a file depends on its release and on the processor.
 */

import { gzipSync } from "fflate";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

const BEST = { level: 9, mem: 12, mtime: 0 } as const;

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
        if (!name.endsWith(".gz") && statSync(path).isFile()) {
          writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), BEST));
        }
      }
    },
  };
}
