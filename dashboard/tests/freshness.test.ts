import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { acts } from "../src/api/acts";
import { heard, unheard } from "../src/api/connection";
import { Keeper, type Cause, type Freshness } from "../src/api/freshness";
import { session } from "../src/api/session";

class Source {
  addEventListener(): void {}
  close(): void {}
}

let read: Cause[];
let keeper: Keeper;

function keep(freshness: Freshness = {}, succeeds: () => boolean = () => true): Keeper {
  keeper = new Keeper(
    async (cause) => {
      read.push(cause);
      return succeeds();
    },
    () => freshness,
  );
  keeper.start();
  return keeper;
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("document", { hidden: false, addEventListener: () => {}, removeEventListener: () => {} });
  vi.stubGlobal("EventSource", Source);
  vi.stubGlobal("fetch", () => Promise.reject(new Error("nobody is there")));
  session.value = { needsKey: false, role: "admin", expiresAt: null };
  read = [];
});

afterEach(() => {
  keeper.stop();
  heard();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("what is shown", () => {
  it("is read at the start and regularly", async () => {
    keep({ every: 3_000 });
    await vi.advanceTimersByTimeAsync(9_500);
    expect(read).toEqual(["gap", "change", "change", "change"]);
  });

  it("is read after an action, and for some seconds more", async () => {
    keep({ every: 1e6 });
    await vi.advanceTimersByTimeAsync(0);
    acts.value += 1;
    expect(keeper.isFresh.value).toBe(false);
    await vi.advanceTimersByTimeAsync(100);
    expect(keeper.isFresh.value).toBe(true);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(read.length).toBe(6);
  });

  it("is read when the host is back, not while it is away, and is not fresh until then", async () => {
    keep({ every: 1_000 });
    await vi.advanceTimersByTimeAsync(0);
    expect(keeper.isFresh.value).toBe(true);
    unheard();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(read.length).toBe(1);
    expect(keeper.isFresh.value).toBe(false);
    heard();
    await vi.advanceTimersByTimeAsync(0);
    expect(read).toEqual(["gap", "gap"]);
    expect(keeper.isFresh.value).toBe(true);
  });

  it("is read soon when something has changed, seldom when reading takes long", async () => {
    let takes = 10;
    keeper = new Keeper(
      async (cause) => {
        read.push(cause);
        await new Promise((done) => setTimeout(done, takes));
        return true;
      },
      () => ({ every: 1e6 }),
    );
    keeper.start();
    await vi.advanceTimersByTimeAsync(1_500);
    keeper.stir();
    keeper.stir();
    await vi.advanceTimersByTimeAsync(20);
    expect(read.length).toBe(2);
    takes = 2_000;
    keeper.stir();
    await vi.advanceTimersByTimeAsync(3_000);
    expect(read.length).toBe(3);
    keeper.stir();
    await vi.advanceTimersByTimeAsync(7_900);
    expect(read.length).toBe(3);
    await vi.advanceTimersByTimeAsync(200);
    expect(read.length).toBe(4);
    await vi.advanceTimersByTimeAsync(2_000);
  });

  it("is not fresh when it could not be read", async () => {
    keep({}, () => false);
    await vi.advanceTimersByTimeAsync(0);
    expect(keeper.isFresh.value).toBe(false);
  });

  it("is behind a gap until a reading succeeds", async () => {
    let works = false;
    keep({ every: 1_000 }, () => works);
    await vi.advanceTimersByTimeAsync(2_500);
    works = true;
    await vi.advanceTimersByTimeAsync(2_000);
    expect(read).toEqual(["gap", "gap", "gap", "gap", "change"]);
    expect(keeper.isFresh.value).toBe(true);
  });

  it("is not read any more when it is gone, or nobody is signed in", async () => {
    keep({ every: 1_000, isOff: true });
    acts.value += 1;
    await vi.advanceTimersByTimeAsync(20_000);
    expect(read.length).toBe(1);
    keeper.stop();
    keep({ every: 1_000 });
    session.value = { needsKey: true, role: null, expiresAt: null };
    await vi.advanceTimersByTimeAsync(20_000);
    expect(read.length).toBe(2);
  });
});
