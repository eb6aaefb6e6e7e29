/** Empties the folder of assets before a build, so that no file of an older one stays. */

import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

export function cleared(): Plugin {
  return {
    name: "tenuto-cleared",
    apply: "build",
    configResolved(config) {
      rmSync(join(config.build.outDir, config.build.assetsDir), { recursive: true, force: true });
    },
  };
}
