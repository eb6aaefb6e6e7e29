import { describe, expect, it } from "vitest";
import {
  bytesText,
  counted,
  exactText,
  momentText,
  relativeText,
  sentence,
  shortText,
  shortened,
  spanText,
} from "../src/formatting";

const NOW = Date.UTC(2026, 10, 22, 12, 0, 0) * 1000;

describe("spans", () => {
  it.each([
    [0, "0 ms"],
    [0.0384, "38 ms"],
    [0.9994, "999 ms"],
    [1.04, "1.0 s"],
    [9.96, "10 s"],
    [59.6, "1 min"],
    [61, "1 min 1 s"],
    [3599.9, "60 min"],
    [3600, "1 h"],
    [11_520, "3 h 12 min"],
    [86_400 * 2 + 3600, "2 d 1 h"],
  ])("%d s is %s", (seconds, text) => expect(spanText(seconds)).toBe(text));
});

describe("moments", () => {
  it("are told from now", () => {
    expect(relativeText(NOW, NOW)).toBe("just now");
    expect(relativeText(NOW - 300e6, NOW)).toBe("5 min ago");
    expect(relativeText(NOW + 3600e6 * 3, NOW)).toBe("in 3 h");
    expect(relativeText(NOW - 86_400e6 * 40, NOW)).toBe("40 d ago");
  });

  it("are as short as they can be", () => {
    expect(shortText(NOW - 3600e6, NOW, "utc")).toBe("11:00:00");
    expect(shortText(NOW - 86_400e6, NOW, "utc")).toBe("21 Nov 12:00");
    expect(shortText(NOW - 86_400e6 * 400, NOW, "utc")).toBe("18 Oct 2025");
  });

  it("are exact to the millisecond, with their zone", () => {
    expect(exactText(NOW + 631_256, "utc")).toBe("2026-11-22 12:00:00.631 UTC");
    expect(exactText(NOW, "local")).toMatch(/^2026-11-2\d \d\d:\d\d:00\.000 UTC([+−]\d\d:\d\d)?$/);
  });
});

it("moments in sentences are to the second", () => {
  expect(momentText(NOW + 631_256, "utc")).toBe("2026-11-22 12:00:00 UTC");
});

describe("counts and texts", () => {
  it("bear their words", () => {
    expect(counted(1, "host")).toBe("1 host");
    expect(counted(1204, "delivery", "deliveries")).toBe("1,204 deliveries");
    expect(bytesText(912)).toBe("912 B");
    expect(bytesText(3_400)).toBe("3.4 KB");
    expect(bytesText(999_600)).toBe("1.0 MB");
  });

  it("are cut in the middle, and made sentences", () => {
    expect(shortened("abcdefghij", 5)).toBe("ab…ij");
    expect(shortened("abc", 5)).toBe("abc");
    expect(sentence("it is gone")).toBe("It is gone.");
  });
});
