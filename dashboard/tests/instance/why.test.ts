import { describe, expect, it } from "vitest";
import { chainOf, inZone } from "../../src/instance/why/wording";
import { groupedLinks } from "../../src/instance/why/groups";

const NOW = 100e6;

describe("the chain of causes", () => {
  it("says each fact, and leads to what is below", () => {
    const links = chainOf(
      [
        { type: "activity", name: "charge", since: 40e6, stage: "queued", place: 3 },
        {
          type: "orchestration",
          name: "ship",
          instanceId: "ship-1",
          since: 40e6,
          status: "Running",
          below: { instanceId: "pack-1", name: "pack", levels: 2, fact: { type: "event", name: "go", since: 90e6 } },
        },
      ],
      NOW,
      "utc",
    );
    expect(links?.map((link) => [link.text, link.instanceId, link.after])).toEqual([
      ["waits for activity charge, queued at place 3", null, ""],
      ["waits for child ship", "ship-1", ", Running"],
    ]);
    expect(links?.[1]?.below[0]).toMatchObject({
      text: "pack",
      instanceId: "pack-1",
      after: ", 2 calls down, waits for event “go” for 10 s",
    });
  });

  it("marks what somebody must repair", () => {
    expect(chainOf([{ type: "notServed", kind: "activity", name: "x" }], NOW, "utc")?.[0]?.isBad).toBe(true);
    expect(chainOf([{ type: "timer", until: NOW }], NOW, "utc")?.[0]?.isBad).toBe(false);
  });

  it("is none when a newer host has told something unknown: then its sentence stands", () => {
    expect(chainOf([{ type: "somethingNew" }], NOW, "utc")).toBeNull();
  });
});

it("moments in sentences are told in the zone of the reader", () => {
  expect(inZone("due at 2026-11-22 02:01:31Z", "utc")).toBe("due at 2026-11-22 02:01:31Z");
  expect(inZone("due at 2026-11-22 02:01:31Z, or so", "local")).toMatch(/^due at 2026-11-2\d \d\d:\d\d:31, or so$/);
});

describe("a fan-out", () => {
  const running = Array.from({ length: 16 }, (_, index) => ({
    type: "activity",
    name: "fetch",
    since: 90e6,
    begunAt: 98.5e6 + index,
    stage: "running",
  }));
  const queued = Array.from({ length: 184 }, (_, index) => ({
    type: "activity",
    name: "fetch",
    since: 99e6,
    stage: "queued",
    place: index + 1,
  }));

  it("is one line: how many, how they stand, since when", () => {
    expect(groupedLinks([...running, ...queued], NOW, "utc").map((link) => [link.text, link.count])).toEqual([
      ["waits for activity fetch × 200, 16 running, 184 queued, the longest for 1.5 s", 200],
    ]);
  });

  it("leaves alone what is not alike, in its order", () => {
    const timer = { type: "timer", until: NOW };
    const links = groupedLinks([timer, ...running, { ...running[0]!, name: "store" }], NOW, "utc");
    expect(links.map((link) => link.count ?? 1)).toEqual([1, 16, 1]);
  });

  it("of children says what somebody must repair", () => {
    const held = Array.from({ length: 4 }, (_, index) => ({
      type: "orchestration",
      name: "ship",
      instanceId: `ship-${index}`,
      since: 40e6,
      status: "Running",
      ...(index < 2 && { held: "guard" }),
    }));
    expect(groupedLinks(held, NOW, "utc")[0]?.text).toBe(
      "waits for child ship × 4, 2 held, 2 running, the longest for 1 min",
    );
  });
});
