import { describe, expect, it } from "vitest";
import type { UsageLine } from "../src/api/types";
import { amountText, priceText, sharesOf } from "../src/views/usage_amounts";

const line = (gigabyteSeconds: number): UsageLine => ({ gigabyteSeconds }) as UsageLine;

describe("usage", () => {
  it("has as many digits as say something", () => {
    expect([0, 0.05, 12.345, 12_345.6].map(amountText)).toEqual(["0", "0.0500", "12.35", "12,346"]);
  });

  it("never shows a price as nothing that is something", () => {
    expect([null, 0, 12.5, 0.0123, 0.00042, 2e-7, 1e-12].map(priceText)).toEqual([
      "–",
      "0.00",
      "12.50",
      "0.01",
      "0.00042",
      "0.00000020",
      "0.000000000",
    ]);
  });

  it("is told apart by its share", () => {
    expect(sharesOf({ lines: [line(3), line(1)], total: line(4) })).toEqual([0.75, 0.25]);
    expect(sharesOf({ lines: [line(0)], total: line(0) })).toEqual([0]);
  });
});
