import { describe, expect, it } from "vitest";
import { found } from "../../src/instance/pane/found";
import { changedVariables } from "../../src/instance/travel/changes";
import { piecesOf } from "../../src/instance/travel/python";
import { run, step } from "./steps";

describe("variables", () => {
  const frame = (
    value: string,
    name = "order",
  ): { function: string; file: string; line: number; variables: { name: string; value: string }[] } => ({
    function: name,
    file: "app.py",
    line: 1,
    variables: [
      { name: "same", value: "1" },
      { name: "total", value },
    ],
  });

  it("are marked when they have another value than the turn before", () => {
    expect(changedVariables([frame("2")], [frame("1")])).toEqual([new Set(["total"])]);
  });

  it("are all new in another function", () => {
    expect(changedVariables([frame("1", "ship")], [frame("1")])[0]?.size).toBe(2);
  });
});

describe("a line of Python", () => {
  it("is the same text in pieces", () => {
    const line = '    total += len(await ctx.call(f"n{x}", 12.5))  # "why" not';
    expect(
      piecesOf(line)
        .map((piece) => piece.text)
        .join(""),
    ).toBe(line);
  });

  it("tells words, texts, numbers and comments", () => {
    const kinds = new Map(piecesOf("return 'a' + 12 # end").map((piece) => [piece.text, piece.kind]));
    expect([kinds.get("return"), kinds.get("'a'"), kinds.get("12"), kinds.get("# end")]).toEqual([
      "word",
      "text",
      "number",
      "comment",
    ]);
  });

  it("keeps a text that goes on over the line's end", () => {
    expect(
      piecesOf('x = "open')
        .map((piece) => piece.text)
        .join(""),
    ).toBe('x = "open');
  });
});

describe("a step's path", () => {
  const inner = step(3, { name: "inner" });
  const child = run([inner], { instanceId: "child-1", executionId: "e2" });
  const whole = run([step(8, { kind: "orchestration", instanceId: "child-1", run: child })]);

  it("leads through children to whose step it is", () => {
    expect(found(whole, "/8/3")).toEqual({ step: inner, owner: "child-1", execution: "e2" });
  });

  it("leads nowhere when it is not read", () => {
    expect(found(whole, "/8/9")).toBeNull();
    expect(found(whole, "/7")).toBeNull();
    expect(found(whole, "nonsense")).toBeNull();
  });
});
