import { expect, it } from "vitest";
import { byCause, holdText } from "../src/holds";
import { counted } from "../src/views/going";
import { stillThere } from "../src/views/paged";

it("held instances stand by what keeps them, the most common cause first", () => {
  const held = (name: string, reason: "guard" | "payload") => ({ name, hold: { reason, message: "", since: 0 } });
  const causes = byCause([held("a", "guard"), held("b", "payload"), held("b", "payload"), { name: "c", hold: null }]);
  expect(causes.map((one) => [one.name, one.reason, one.records.length])).toEqual([
    ["b", "payload", 2],
    ["a", "guard", 1],
  ]);
  expect(holdText("of a newer host")).toBe("of a newer host");
});

it("instances that go on are counted by their orchestrator", () => {
  const going = counted([{ name: "a" }, { name: "b" }, { name: "a" }], true);
  expect([...going.counts]).toEqual([
    ["a", 2],
    ["b", 1],
  ]);
});

it("what was chosen stays chosen as long as it is there", () => {
  const chosen = new Set([1, 2]);
  expect(stillThere(chosen, [2, 1, 3])).toBe(chosen);
  expect([...stillThere(chosen, [2, 3])]).toEqual([2]);
});
