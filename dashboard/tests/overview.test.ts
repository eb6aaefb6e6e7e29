import { describe, expect, it } from "vitest";
import type { Overview } from "../src/api/types";
import { problemsOf, type Known } from "../src/views/overview/problems";
import { minutes, rateNow, rateText } from "../src/views/overview/rates";
import { rangesText } from "../src/views/ranges";
import { inputSchema, inputSketch } from "../src/views/start/input_schema";

const NOW = 1_800_000_000_000_000;
const NOTHING: Known = { overview: null, hosts: null, queues: null, subscriptions: null, failedDeliveries: null };

describe("problems", () => {
  it("are none where all is well", () => {
    expect(problemsOf({ ...NOTHING, overview: overview({}) })).toEqual([]);
    expect(problemsOf(NOTHING)).toEqual([]);
  });

  it("put first what stands still", () => {
    const found = problemsOf({
      ...NOTHING,
      overview: overview({ instances: { pending: 0, running: 9, suspended: 0, held: { decisions: 2, crashed: 1 } } }),
      hosts: {
        at: NOW,
        partitions: 8,
        hosts: [{ host: "a", description: "a", isAlive: true, silentSeconds: 9 }],
        unserved: [{ partitions: [6, 7] }],
      },
      queues: [{ name: "mails", ready: 5, delayed: 0, inWork: 0, failed: 0, oldest: NOW - 90e6 }],
    });
    expect(found.map((one) => one.id)).toEqual(["unserved", "held", "silent a", "queue mails"]);
    expect(found[1]?.text).toBe("3 instances held");
  });

  it("call failures bad once a quarter of all that ends fails", () => {
    const series = (failed: number, completed: number) => ({
      ...overview({}).series,
      failed: [failed],
      completed: [completed],
    });
    expect(problemsOf({ ...NOTHING, overview: overview({ series: series(1, 9) }) })[0]?.weight).toBe("warning");
    expect(problemsOf({ ...NOTHING, overview: overview({ series: series(3, 9) }) })[0]?.weight).toBe("bad");
  });

  it("name subscriptions that nobody serves, but not those that keep up", () => {
    const one = { name: "store", topic: "plates", position: 1, failed: 0, updatedAt: NOW, oldest: NOW - 1e6 };
    const found = problemsOf({
      ...NOTHING,
      overview: overview({}),
      subscriptions: [
        { ...one, lag: 3, isServed: false },
        { ...one, lag: 3, isServed: true },
      ],
    });
    expect(found.map((problem) => problem.text)).toEqual(["Nobody serves store: 3 events behind"]);
  });
});

describe("rates", () => {
  const series = { ...overview({}).series, started: Array.from({ length: 13 }, () => 5) };
  it("are per second, over the last minute", () => {
    expect(rateNow(series, "started")).toBe(1);
    expect(rateNow(series, "failed")).toBe(0);
    expect([0, 0.03, 1.26, 1203.6].map(rateText)).toEqual(["0", "0.03", "1.3", "1,204"]);
  });

  it("are summed minute by minute, newest first", () => {
    expect(minutes(series).map((one) => one.started)).toEqual([60, 5]);
  });
});

describe("small things", () => {
  it("writes partitions as ranges", () => {
    expect(rangesText([7, 0, 1, 2, 3, 5])).toBe("0–3, 5, 7");
    expect(rangesText([])).toBe("");
  });

  it("makes one schema of several parameters", () => {
    const info = {
      name: "f",
      program: "native",
      parameters: [
        { name: "a", required: true, schema: { $ref: "#/$defs/A", $defs: { A: { type: "integer" } } } },
        { name: "b", required: false, schema: { type: "string" } },
      ],
    };
    expect(inputSchema(info)).toMatchObject({ type: "object", required: ["a"], $defs: { A: { type: "integer" } } });
    expect(JSON.parse(inputSketch(info))).toEqual({ a: 0, b: "" });
    expect(inputSchema({ ...info, parameters: [] })).toBeNull();
  });
});

function overview(changes: Partial<Overview>): Overview {
  return {
    at: NOW,
    host: "h",
    version: "1",
    since: NOW - 1e9,
    instances: { pending: 0, running: 0, suspended: 0, held: {} },
    backlog: { turns: 0, activities: 0, running: 0, oldestSeconds: null },
    series: {
      stepSeconds: 5,
      from: NOW - 600e6,
      started: [],
      completed: [],
      failed: [],
      activities: [],
      activityFailures: [],
    },
    failures: [],
    workers: [],
    health: { ready: true },
    ...changes,
  };
}
