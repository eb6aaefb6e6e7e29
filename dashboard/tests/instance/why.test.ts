import { describe, expect, it } from "vitest";
import { chainOf, inZone } from "../../src/instance/why/wording";

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
