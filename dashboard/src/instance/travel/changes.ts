/** Which variables are not what they were the turn before. Pure. */
import type { Frame } from "../shapes";

/** Names of variables that are new or have another value, by the place of their frame. */
export function changedVariables(frames: readonly Frame[], before: readonly Frame[]): ReadonlySet<string>[] {
  return frames.map((frame, index) => {
    const old = before[index];
    const isSame = old?.function === frame.function && old.file === frame.file;
    const values = new Map(isSame ? (old.variables ?? []).map((one) => [one.name, one.value]) : []);
    return new Set((frame.variables ?? []).filter((one) => values.get(one.name) !== one.value).map((one) => one.name));
  });
}
