import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Windows, type Wish } from "../src/api/windows";

/** Tells all others of the same name, as those of browsers do. */
class Channel {
  onmessage: ((event: { data: unknown }) => void) | null = null;
  constructor() {
    channels.add(this);
  }
  postMessage(data: unknown): void {
    for (const one of channels) if (one !== this) one.onmessage?.({ data: structuredClone(data) });
  }
  close(): void {
    channels.delete(this);
  }
}

let channels: Set<Channel>;
let windows: Windows[];

const open = (): Windows => {
  vi.setSystemTime(Date.now() + 1_000);
  const one = new Windows();
  windows.push(one);
  return one;
};
const page = (): Wish[] => {
  const one = open();
  return [one.wish("hub"), one.wish("instance")];
};
const may = (wishes: readonly Wish[]): boolean[] => wishes.map((one) => one.may.value);

beforeEach(() => {
  vi.useFakeTimers();
  channels = new Set();
  windows = [];
  vi.stubGlobal("document", { hidden: false, addEventListener: () => {} });
  vi.stubGlobal("BroadcastChannel", Channel);
  vi.stubGlobal("window", { BroadcastChannel: Channel, addEventListener: () => {} });
});

afterEach(() => {
  for (const one of windows) one.close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it("each has what it wants while there is enough", () => {
  const [first, second] = [page(), page()];
  expect([...may(first), ...may(second)]).toEqual([true, true, true, true]);
});

it("streams of the hub come first, and those of older windows", () => {
  const all = [page(), page(), page()];
  expect(all.map(may)).toEqual([
    [true, true],
    [true, false],
    [true, false],
  ]);
  const [fourth, fifth] = [page(), page()];
  expect(all.map(may)).toEqual(Array.from({ length: 3 }, () => [true, false]));
  expect([may(fourth), may(fifth)]).toEqual([
    [true, false],
    [false, false],
  ]);
});

it("what one gives back another gets, also when it has died", async () => {
  const [first, second, third] = [page(), page(), page()];
  for (const one of first) one.drop();
  expect([may(second), may(third)]).toEqual([
    [true, true],
    [true, true],
  ]);
  const fourth = page();
  expect(may(fourth)).toEqual([true, false]);
  windows[1]?.close();
  await vi.advanceTimersByTimeAsync(15_000);
  expect(may(fourth)).toEqual([true, true]);
});
