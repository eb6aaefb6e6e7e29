import { describe, expect, it } from "vitest";
import { END, graphOf, type Graph } from "../../src/instance/graph/model";
import type { Flow, FlowItem } from "../../src/instance/shapes";
import { run, step } from "./steps";

function edges(graph: Graph): string[] {
  return graph.edges.map((edge) => `${edge.from} > ${edge.to}`);
}

function flow(...items: Partial<FlowItem>[]): Flow {
  const whole = items.map((item) => ({ kind: "instance", name: "x", id: "x", ref: "x", ...item }) as FlowItem);
  return { asked: "instance:tour-1", root: whole[0]!.ref, items: whole };
}

describe("a graph", () => {
  it("connects what was decided with what had ended then", () => {
    const graph = graphOf(run([step(1, { turn: 1, endedTurn: 2 }), step(2, { turn: 2, name: "next" })]), null);
    expect(edges(graph)).toEqual(["instance:tour-1 > step:1", "step:1 > step:2"]);
  });

  it("waits for all that ended since the last decision", () => {
    const steps = [
      step(1, { turn: 1, endedTurn: 2, name: "a" }),
      step(2, { turn: 1, endedTurn: 3, name: "b" }),
      step(3, { turn: 3, name: "c" }),
    ];
    expect(edges(graphOf(run(steps), null))).toEqual([
      "instance:tour-1 > step:1",
      "instance:tour-1 > step:2",
      "step:1 > step:3",
      "step:2 > step:3",
    ]);
  });

  it("draws a fan-out as one node", () => {
    const steps = Array.from({ length: 300 }, (_, index) => step(index + 1, { turn: 1, endedTurn: 2 + index }));
    const graph = graphOf(run([...steps, step(900, { turn: 301, name: "join" })]), null);
    expect(graph.nodes.map((node) => node.title)).toEqual(["tour", "greet × 300", "join"]);
    expect(edges(graph)).toContain("group:1 > step:900");
  });

  it("draws a loop of thousands as one node", () => {
    const steps = Array.from({ length: 4000 }, (_, index) =>
      step(index + 1, { turn: 1 + index, endedTurn: 2 + index, name: `s${index % 2}` }),
    );
    const graph = graphOf(run(steps), null);
    expect(graph.isMerged).toBe(true);
    expect(graph.nodes.map((node) => node.title)).toEqual(["tour", "s0 × 2000", "s1 × 2000"]);
    expect(edges(graph)).toEqual(["instance:tour-1 > group:1", "group:1 > group:2", "group:2 > group:1"]);
  });

  it("has an end, after what nothing follows", () => {
    const graph = graphOf(run([step(1, { turn: 1, endedTurn: 2 })], { status: "Completed" }), null);
    expect(edges(graph)).toContain(`step:1 > ${END}`);
  });

  it("goes by times where there are no turns", () => {
    const graph = graphOf(run([step(1, { begunAt: 5, endedAt: 9 }), step(2, { begunAt: 9, name: "b" })]), null);
    expect(edges(graph)).toContain("step:1 > step:2");
  });
});

describe("the flow around it", () => {
  const call = step(4, { turn: 1, kind: "orchestration", name: "trip", instanceId: "child-1" });
  const published = step(5, { turn: 1, kind: "message", place: "topic", name: "plates" });

  it("joins its own children and events, and goes on from them", () => {
    const graph = graphOf(
      run([call, published]),
      flow(
        { ref: "event:root", kind: "event" },
        { ref: "instance:tour-1", id: "tour-1", cause: "event:root" },
        { ref: "instance:child-1", id: "child-1", cause: "instance:tour-1" },
        { ref: "event:plates/e1-5", id: "e1-5", kind: "event", cause: "instance:tour-1" },
        { ref: "instance:listener", id: "listener", cause: "event:plates/e1-5" },
      ),
    );
    expect(edges(graph)).toEqual([
      "instance:tour-1 > step:4",
      "instance:tour-1 > step:5",
      "event:root > instance:tour-1",
      "step:5 > instance:listener",
    ]);
    expect(graph.edges.at(-1)?.isFlow).toBe(true);
  });

  it("leads to instances that are here", () => {
    const graph = graphOf(run([]), flow({ ref: "instance:gone", id: "gone", isGone: true }, { ref: "i:b", id: "b" }));
    expect(graph.nodes.map((node) => node.instanceId)).toEqual(["tour-1", null, "b"]);
  });
});
