import { describe, expect, it } from "vitest";
import {
  evenScale,
  offsetText,
  panned,
  pixel,
  positionOf,
  roomyEnd,
  skippingScale,
  ticksOf,
  timeAt,
  WHOLE,
  zoomed,
} from "../../src/instance/timeline/scale";

const SECOND = 1e6;
const DAY = 86_400 * SECOND;

describe("an even scale", () => {
  it("maps times to positions and back", () => {
    const scale = evenScale(100, 300);
    expect(positionOf(scale, 100)).toBe(0);
    expect(positionOf(scale, 200)).toBe(0.5);
    expect(positionOf(scale, 300)).toBe(1);
    expect(timeAt(scale, 0.25)).toBe(150);
  });

  it("keeps times outside at its ends", () => {
    const scale = evenScale(100, 300);
    expect(positionOf(scale, 5)).toBe(0);
    expect(positionOf(scale, 900)).toBe(1);
  });

  it("takes an instance that ended at once", () => {
    expect(Number.isFinite(positionOf(evenScale(5, 5), 5))).toBe(true);
  });
});

describe("a scale that skips", () => {
  const marks = [0, SECOND, 2 * SECOND, 3 * DAY, 3 * DAY + SECOND];
  const scale = skippingScale(0, 3 * DAY + 2 * SECOND, marks);

  it("draws three days of waiting short, and what was done long", () => {
    expect(positionOf(scale, 2 * SECOND)).toBeGreaterThan(0.3);
    expect(positionOf(scale, 3 * DAY)).toBeLessThan(0.7);
  });

  it("keeps the order of times, and its ends", () => {
    const positions = marks.map((time) => positionOf(scale, time));
    expect(positions).toEqual([...positions].sort((a, b) => a - b));
    expect(scale.stretches.at(-1)!.end).toBeCloseTo(1);
  });

  it("maps back what it maps", () => {
    for (const time of marks) expect(timeAt(scale, positionOf(scale, time))).toBeCloseTo(time, -2);
  });

  it("skips no more than it must", () => {
    const busy = [0, 0.5, 2, 2.5, 4, 4.5].map((seconds) => seconds * SECOND);
    const skipped = skippingScale(0, 300 * SECOND, busy).stretches.filter((one) => one.isSkipped);
    expect(skipped).toHaveLength(1);
    const waits = [0, SECOND, 3 * DAY, 3 * DAY + SECOND, 6 * DAY, 6 * DAY + SECOND];
    expect(skippingScale(0, 9 * DAY, waits).stretches.filter((one) => one.isSkipped)).toHaveLength(3);
  });

  it("is even where nothing is long", () => {
    const busy = Array.from({ length: 20 }, (_, index) => index * SECOND);
    expect(skippingScale(0, 19 * SECOND, busy).stretches).toHaveLength(1);
  });

  it("does not cut a short run, nor a gap of moments", () => {
    expect(skippingScale(0, 0.2 * SECOND, [0.001 * SECOND, 0.19 * SECOND]).stretches).toHaveLength(1);
    expect(
      skippingScale(
        0,
        11 * SECOND,
        [0, 4, 8].map((at) => at * SECOND),
      ).stretches,
    ).toHaveLength(1);
  });

  it("has no ticks in what is skipped", () => {
    const skipped = scale.stretches.filter((one) => one.isSkipped);
    for (const tick of ticksOf(scale, WHOLE, 1000, 0))
      expect(skipped.some((one) => tick.offset > one.from && tick.offset < one.to)).toBe(false);
  });
});

describe("views", () => {
  it("zoom around a place that stays", () => {
    const scale = evenScale(0, 1000);
    const before = pixel(scale, WHOLE, 500, 250);
    const view = zoomed(WHOLE, 0.5, 0.25);
    expect(pixel(scale, view, 500, 250)).toBeCloseTo(before);
  });

  it("never leave the scale", () => {
    expect(zoomed({ start: 0.875, end: 1 }, 4, 1)).toEqual({ start: 0.5, end: 1 });
    expect(panned({ start: 0.5, end: 1 }, 1)).toEqual({ start: 0.5, end: 1 });
    expect(zoomed(WHOLE, 100)).toEqual(WHOLE);
  });
});

describe("ticks", () => {
  it("stand at round times and not closer than they may", () => {
    const ticks = ticksOf(evenScale(7, 7 + 10 * SECOND), WHOLE, 900, 7, 88);
    expect(ticks.map((tick) => offsetText(tick.offset))).toContain("5 s");
    ticks.slice(1).forEach((tick, index) => expect(tick.x - ticks[index]!.x).toBeGreaterThan(60));
  });

  it("are few in a very long run", () => {
    expect(ticksOf(evenScale(0, 4000 * DAY), WHOLE, 900, 0).length).toBeLessThan(15);
  });
});

it("offsets are short", () => {
  const texts = [0, 5, 2500, 1.5 * SECOND, 90 * SECOND, 3 * DAY].map(offsetText);
  expect(texts).toEqual(["0", "5 µs", "2.5 ms", "1.5 s", "1 min 30 s", "3 d"]);
});

it("the end of what grows moves in steps", () => {
  const ends = [10.1, 10.2, 10.3].map((seconds) => roomyEnd(0, seconds * SECOND));
  expect(new Set(ends).size).toBe(1);
  expect(ends[0]).toBeGreaterThan(10.3 * SECOND);
});
