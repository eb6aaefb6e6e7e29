import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { digestOf } from "../src/api/digest";
import { watchHub } from "../src/api/live";
import { session } from "../src/api/session";
import type { Digest, Update } from "../src/api/types";

class Source {
  readonly listeners = new Map<string, (event: { data: string; lastEventId: string }) => void>();
  isClosed = false;
  constructor(readonly url: string) {
    sources.push(this);
  }
  addEventListener(name: string, listener: (event: { data: string; lastEventId: string }) => void): void {
    this.listeners.set(name, listener);
  }
  tell(name: string, data: unknown): void {
    this.listeners.get(name)?.({ data: JSON.stringify(data), lastEventId: "1" });
  }
  close(): void {
    this.isClosed = true;
  }
}

const UPDATE: Update = {
  instanceId: "i-1",
  generation: 0,
  turn: 3,
  ended: false,
  purged: false,
  name: "hello",
  runtimeStatus: "Running",
  customStatus: null,
  createdTime: "",
  lastUpdatedTime: "",
};
const FAILED: Update = { ...UPDATE, ended: true, runtimeStatus: "Failed" };

let sources: Source[];
let stops: (() => void)[];

const open = (): string[] => sources.filter((one) => !one.isClosed).map((one) => one.url);

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("document", { hidden: false, addEventListener: () => {}, removeEventListener: () => {} });
  vi.stubGlobal("EventSource", Source);
  session.value = { needsKey: false, role: "admin", expiresAt: null };
  sources = [];
  stops = [];
});

afterEach(async () => {
  for (const stop of stops) stop();
  await vi.advanceTimersByTimeAsync(0);
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("the stream of the hub", () => {
  it("is one, and tells updates only while somebody listens to them", async () => {
    stops.push(watchHub({}), watchHub({ onDigest: () => {} }));
    await vi.advanceTimersByTimeAsync(0);
    expect(open()).toEqual(["/admin/events?digest=true"]);
    const stop = watchHub({ onUpdates: () => {} });
    await vi.advanceTimersByTimeAsync(0);
    expect(open()).toEqual(["/admin/events?most=50"]);
    stop();
    await vi.advanceTimersByTimeAsync(0);
    expect(open()).toEqual(["/admin/events?digest=true"]);
    expect(sources.length).toBe(3);
  });

  it("stays when one view goes and the next one comes", async () => {
    const stop = watchHub({ onDigest: () => {} });
    await vi.advanceTimersByTimeAsync(0);
    stop();
    stops.push(watchHub({ onDigest: () => {} }));
    await vi.advanceTimersByTimeAsync(0);
    expect(sources.length).toBe(1);
    expect(open().length).toBe(1);
  });

  it("hands digests on, and makes them from updates", async () => {
    const digests: Digest[] = [];
    let resets = 0;
    stops.push(watchHub({ onDigest: (digest) => digests.push(digest), onReset: () => (resets += 1) }));
    await vi.advanceTimersByTimeAsync(0);
    sources[0]?.tell("reset", {});
    const told: Digest = { changed: 7, ended: 2, failed: 1, held: 0, purged: 0, elsewhere: true };
    sources[0]?.tell("digest", told);
    expect([resets, digests]).toEqual([1, [told]]);
    stops.push(watchHub({ onUpdates: () => {} }));
    await vi.advanceTimersByTimeAsync(0);
    sources[1]?.tell("update", UPDATE);
    await vi.advanceTimersByTimeAsync(0);
    sources[1]?.tell("update", FAILED);
    sources[1]?.tell("update", { ...UPDATE, purged: true });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(digests.slice(1)).toEqual([
      { changed: 1, ended: 0, failed: 0, held: 0, purged: 0, elsewhere: false },
      { changed: 2, ended: 1, failed: 1, held: 0, purged: 1, elsewhere: false },
    ]);
  });
});

describe("a digest", () => {
  it("counts what is held, and no end without a failure as one", () => {
    const hold = { reason: "code", message: "", since: 1 } as unknown as Update["hold"];
    expect(
      digestOf([
        { ...UPDATE, hold: hold ?? null },
        { ...UPDATE, ended: true },
      ]),
    ).toEqual({
      changed: 2,
      ended: 1,
      failed: 0,
      held: 1,
      purged: 0,
      elsewhere: false,
    });
  });
});
