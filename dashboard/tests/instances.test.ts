import { describe, expect, it } from "vitest";
import type { InstanceRecord, Update } from "../src/api/types";
import { EVERYTHING, filterOf, parametersOf, queryOf } from "../src/views/instances/filter";
import { Rows } from "../src/views/instances/rows";

const NOW = Date.UTC(2026, 10, 22) * 1000;

describe("filters", () => {
  it("survive the way through an address", () => {
    const filter = {
      ...EVERYTHING,
      statuses: ["Running", "Failed"] as const,
      name: "tour",
      prefix: "a&b",
      held: false,
      order: "oldest" as const,
      createdFrom: "2026-11-22T00:54",
    };
    const query = Object.fromEntries(Object.entries(queryOf(filter)).filter(([, value]) => value !== undefined));
    expect(filterOf(query)).toEqual(filter);
  });

  it("ignore what they do not know", () => {
    expect(
      filterOf({ status: "flying", held: "perhaps", order: "random", created: "1y", createdFrom: "soon" }),
    ).toEqual(EVERYTHING);
    expect(filterOf({ order: "toString", created: "constructor" })).toEqual(EVERYTHING);
  });

  it("ask the API for moments as it takes them", () => {
    const filter = filterOf({ status: "failed", created: "1h", createdFrom: "2026-11-01T00:00" });
    expect(parametersOf(filter, NOW + 7)).toMatchObject({
      status: "failed",
      createdFrom: "2026-11-21T23:00:00.000007Z",
      createdTo: null,
    });
    expect(parametersOf(filterOf({ createdTo: "2026-11-22T00:00" }), NOW)).toMatchObject({
      createdFrom: null,
      createdTo: "2026-11-22T00:00:00.000000Z",
    });
  });
});

describe("rows under load", () => {
  it("change where they stand", () => {
    const rows = withThree();
    const changed = rows.update(
      [update("b", { runtimeStatus: "Failed", ended: true, failure: { errorType: "E", errorMessage: "no" } })],
      EVERYTHING,
      NOW,
    );
    expect(changed).toBe(true);
    expect(rows.all.map((row) => row.id)).toEqual(["c", "b", "a"]);
    expect(rows.all[1]).toMatchObject({ status: "Failed", note: "no" });
  });

  it("are announced when they are new, and count once", () => {
    const rows = withThree();
    const fresh = update("d", { createdTime: new Date(NOW / 1000).toISOString() });
    rows.update([fresh, fresh], EVERYTHING, NOW);
    expect(rows.newCount).toBe(1);
    expect(rows.all).toHaveLength(3);
  });

  it("are not announced when they stand below what was read, or do not fit", () => {
    const rows = withThree();
    rows.update([update("old", { createdTime: "2020-01-01T00:00:00Z" })], EVERYTHING, NOW);
    rows.update(
      [update("e", { createdTime: new Date(NOW / 1000).toISOString() })],
      filterOf({ status: "failed" }),
      NOW,
    );
    expect(rows.newCount).toBe(0);
  });

  it("say when they were deleted", () => {
    const rows = withThree();
    rows.update([update("a", { purged: true })], EVERYTHING, NOW);
    expect(rows.all[2]).toMatchObject({ id: "a", isPurged: true });
  });

  it("are those of another instance when their id was handed on", () => {
    const rows = withThree();
    const at = new Date(NOW / 1000).toISOString();
    rows.update([update("b", { name: "other", createdTime: at })], EVERYTHING, NOW);
    expect(rows.all[1]).toMatchObject({ id: "b", name: "other", createdAt: NOW });
    rows.update(
      [update("c", { name: "tour", createdTime: new Date((NOW - 10e6) / 1000).toISOString() })],
      EVERYTHING,
      NOW,
    );
    expect(rows.all[0]).toMatchObject({ id: "c", createdAt: NOW - 10e6 + 3 });
  });

  it("are not announced any more when they have left", () => {
    const rows = withThree();
    const at = new Date(NOW / 1000).toISOString();
    rows.update([update("d", { createdTime: at }), update("e", { createdTime: at })], EVERYTHING, NOW);
    const before = rows.newIds();
    rows.update([update("f", { createdTime: at })], EVERYTHING, NOW);
    // Of "f" nobody knew yet when it was asked.
    rows.leave(before, [{ ...record("e", 0), createdAt: NOW }], { order: "newest", isWhole: true });
    expect([...rows.newIds()]).toEqual(["e", "f"]);
    // What is further down than a page goes may be there yet.
    rows.leave(rows.newIds(), [{ ...record("g", 0), createdAt: NOW + 1e6 }], { order: "newest", isWhole: false });
    expect(rows.newCount).toBe(2);
    rows.leave(rows.newIds(), [{ ...record("g", 0), createdAt: NOW - 1e6 }], { order: "newest", isWhole: false });
    expect(rows.newCount).toBe(0);
  });

  it("are counted to some thousands", () => {
    const rows = withThree();
    const createdTime = new Date(NOW / 1000).toISOString();
    const many = Array.from({ length: 6_000 }, (_, number) => update(`n-${number}`, { createdTime }));
    rows.update(many, EVERYTHING, NOW);
    expect(rows.newCount).toBe(5_000);
    expect(rows.hasManyNew).toBe(true);
  });

  it("are compared after a gap in the updates", () => {
    const rows = withThree();
    rows.refresh([record("d", 4), { ...record("c", 3), status: 1 }], "newest");
    expect(rows.newCount).toBe(1);
    expect(rows.all[0]).toMatchObject({ id: "c", status: "Completed" });
  });
});

function withThree(): Rows {
  const rows = new Rows();
  rows.add([record("c", 3), record("b", 2), record("a", 1)]);
  return rows;
}

function record(id: string, age: number): InstanceRecord {
  return {
    iid: age,
    instanceId: id,
    partition: 0,
    name: "tour",
    executionId: "e",
    rootId: id,
    createdAt: NOW - 10e6 + age,
    status: 0,
  };
}

function update(id: string, changes: Partial<Update>): Update {
  return {
    instanceId: id,
    generation: 0,
    turn: 1,
    ended: false,
    purged: false,
    name: "tour",
    runtimeStatus: "Running",
    customStatus: null,
    createdTime: "2026-11-21T00:00:00Z",
    lastUpdatedTime: "2026-11-22T00:00:00Z",
    ...changes,
  };
}
