import { describe, expect, it } from "vitest";
import { rowsOf, tallyOf } from "../../src/instance/timeline/rows";
import { drawingOf } from "../../src/instance/timeline/segments";
import { kindText, stateText, titleOf } from "../../src/instance/timeline/wording";
import { run, step } from "./steps";

const failure = { errorType: "OSError", errorMessage: "no" };

describe("bars of a step", () => {
  it("are its attempts, with the pauses between them", () => {
    const { segments } = drawingOf(
      step(1, {
        begunAt: 0,
        endedAt: 50,
        attempts: [
          { attempt: 1, begunAt: 0, endedAt: 10, failure },
          { attempt: 2, begunAt: 30, endedAt: 50 },
        ],
      }),
    );
    expect(segments.map((one) => [one.kind, one.outcome, one.from, one.to])).toEqual([
      ["work", "failed", 0, 10],
      ["pause", "running", 10, 30],
      ["work", "completed", 30, 50],
    ]);
  });

  it("end with an open pause when it is tried again later, and a mark says when", () => {
    const attempts = [{ attempt: 1, begunAt: 0, endedAt: 10, failure }];
    const { segments, marks } = drawingOf(step(1, { state: "retrying", attempts, dueAt: 90 }));
    expect(segments.at(-1)).toMatchObject({ kind: "pause", from: 10, to: null });
    expect(marks).toEqual([{ kind: "due", at: 90 }]);
  });

  it("are open while it runs", () => {
    expect(drawingOf(step(1, { state: "running" })).segments).toMatchObject([
      { kind: "work", outcome: "running", to: null },
    ]);
  });

  it("are waits where it is queued", () => {
    expect(drawingOf(step(1, { state: "waiting" })).segments[0]?.kind).toBe("wait");
  });

  it("are none for messages and events that nobody awaited: those are moments", () => {
    expect(drawingOf(step(1, { kind: "message", begunAt: 7 }))).toEqual({
      segments: [],
      marks: [{ kind: "sent", at: 7 }],
    });
    expect(drawingOf(step(-1, { kind: "event", begunAt: 7 })).marks).toEqual([{ kind: "arrived", at: 7 }]);
  });

  it("of a timer have the time at which it is due", () => {
    const { segments, marks } = drawingOf(step(1, { kind: "timer", state: "waiting", dueAt: 100 }));
    expect(segments[0]?.kind).toBe("wait");
    expect(marks).toEqual([{ kind: "due", at: 100 }]);
  });
});

describe("rows", () => {
  it("are the steps in their order", () => {
    expect(rowsOf(run([step(1), step(2, { name: "other" })]), new Set()).map((row) => row.path)).toEqual(["/1", "/2"]);
  });

  it("take many alike of one turn as one, which opens", () => {
    const steps = Array.from({ length: 300 }, (_, index) => step(index + 1, { begunAt: 5 }));
    const closed = rowsOf(run(steps), new Set());
    expect(closed).toHaveLength(1);
    expect(closed[0]).toMatchObject({ type: "group", path: "/1*" });
    expect(rowsOf(run(steps), new Set(["/1*"]))).toHaveLength(301);
  });

  it("have the steps of a child below its call once that is opened", () => {
    const child = run([step(1, { name: "inner" })], { instanceId: "child-1" });
    const call = step(4, { kind: "orchestration", name: "trip", instanceId: "child-1", run: child });
    expect(rowsOf(run([call]), new Set())).toHaveLength(1);
    const rows = rowsOf(run([call]), new Set(["/4"]));
    expect(rows[1]).toMatchObject({ path: "/4/1", depth: 1, owner: "child-1" });
  });

  it("count how the steps of a group stand", () => {
    const steps = [
      step(1),
      step(2, { state: "failed" }),
      step(3, { state: "running" }),
      step(4, { state: "canceled" }),
    ];
    expect(tallyOf(steps)).toEqual({ completed: 1, failed: 1, open: 1, canceled: 1 });
  });
});

describe("words", () => {
  it("name what has no name", () => {
    expect(titleOf(step(1, { kind: "timer", name: "", purpose: "timeout" }))).toBe("time limit");
    expect(titleOf(step(1, { kind: "message", name: "shipped", place: "topic", key: "k" }))).toBe("shipped / k");
    expect(kindText(step(1, { kind: "message", place: "queue" }))).toBe("queued message");
  });

  it("say how it stands", () => {
    expect(stateText(step(1, { state: "waiting" }))).toBe("queued");
    expect(stateText(step(1, { kind: "event", state: "canceled", isExpired: true }))).toBe("time is over");
    expect(stateText(step(1, { state: "retrying", attempt: 2 }))).toBe("waits for attempt 3");
  });
});
