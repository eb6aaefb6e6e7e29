import { describe, expect, it } from "vitest";
import { fieldsOf, filtered, HistoryRows, payloadOf, typeWords } from "../../src/instance/history/events";
import { mostAttempts, payloadsOf } from "../../src/instance/pane/step_payloads";
import type { HistoryEvent } from "../../src/instance/shapes";

const TURNS: HistoryEvent[][] = [
  [
    { type: "OrchestratorStarted", timestamp: 10 },
    { type: "ExecutionStarted", name: "tour", input: '["Oslo"]' },
    { type: "TaskScheduled", eventId: 1, name: "greet", input: '"Oslo"' },
  ],
  [
    { type: "OrchestratorStarted", timestamp: 20 },
    { type: "TaskFailed", taskScheduledId: 1, failureDetails: { errorType: "OSError", errorMessage: "no" } },
    { type: "TimerCreated", eventId: 2, fireAt: 30, purpose: "retry", of: 1 },
  ],
  [
    { type: "OrchestratorStarted", timestamp: 30 },
    { type: "TimerFired", timerId: 2, fireAt: 30 },
    { type: "TaskScheduled", eventId: 3, name: "greet", input: '"Oslo"', attempt: 2, callId: 1 },
  ],
  [
    { type: "OrchestratorStarted", timestamp: 40 },
    { type: "TaskCompleted", taskScheduledId: 3, result: '"Hello <b>Oslo</b>"' },
  ],
];

function history(): HistoryRows {
  const rows = new HistoryRows();
  rows.add(TURNS.slice(0, 2));
  rows.add(TURNS.slice(2));
  return rows;
}

describe("rows of a history", () => {
  it("have the time and the number of their turn, page after page", () => {
    expect(history().rows.map((row) => [row.turn, row.at])).toEqual([
      [1, 10],
      [1, 10],
      [2, 20],
      [2, 20],
      [3, 30],
      [3, 30],
      [4, 40],
    ]);
  });

  it("know the name of what has ended", () => {
    const rows = history();
    expect(rows.nameOf(TURNS[3]![1]!)).toBe("greet");
    expect(rows.nameOf(TURNS[2]![1]!)).toBe("timer");
  });

  it("are found by group and by text in any of their parts", () => {
    const rows = history();
    const found = (text: string, ...groups: ("timers" | "activities")[]): number =>
      filtered(rows, { groups: new Set(groups), text }).length;
    expect(found("")).toBe(7);
    expect(found("", "timers")).toBe(2);
    expect(found("<b>OSLO")).toBe(1);
    expect(found("greet", "activities")).toBe(4);
  });
});

it("payloads are texts with their label", () => {
  expect(payloadOf(TURNS[0]![2]!)).toEqual({ label: "input", text: '"Oslo"' });
  expect(payloadOf(TURNS[1]![1]!)?.label).toBe("failure");
  expect(payloadOf(TURNS[2]![1]!)).toBeNull();
});

it("payloads of a step are told once, and its failures elsewhere", () => {
  const events = TURNS.flat().map((event) => ({ turn: 1, at: 10, event }));
  expect(payloadsOf(events).map((one) => [one.payload.label, one.payload.text])).toEqual([
    ["input", '["Oslo"]'],
    ["input", '"Oslo"'],
    ["result", '"Hello <b>Oslo</b>"'],
  ]);
});

it("the other fields are told", () => {
  expect(fieldsOf(TURNS[1]![2]!)).toEqual([
    ["fireAt", "30"],
    ["purpose", "retry"],
    ["of", "1"],
  ]);
});

it("types are words", () => {
  expect(typeWords("SubOrchestrationInstanceCreated")).toBe("child created");
});

it("how many attempts a call may have stands with its first one", () => {
  const first = { turn: 1, at: 0, event: { type: "TaskScheduled", retry: { maxAttempts: 4, firstInterval: 1 } } };
  const second = { turn: 2, at: 1, event: { type: "TaskScheduled" } };
  expect(mostAttempts([first, second])).toBe(4);
  expect(mostAttempts([second])).toBeNull();
});
