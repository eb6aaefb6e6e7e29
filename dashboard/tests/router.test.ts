import { describe, expect, it } from "vitest";
import { addressOf, instanceAddress, parsed } from "../src/router";

describe("addresses", () => {
  it("names each view", () => {
    expect(parsed("")).toEqual({ view: "overview", query: {} });
    expect(parsed("#/")).toEqual({ view: "overview", query: {} });
    expect(parsed("#/dead-letters")).toEqual({ view: "dead-letters", query: {} });
    expect(parsed("#/instances?status=failed&name=a%26b")).toEqual({
      view: "instances",
      query: { status: "failed", name: "a&b" },
    });
  });

  it("finds an instance by any id", () => {
    for (const id of ["tour-1", "a/b?c#d", "100 %", "ünï", "@counter@x"]) {
      expect(parsed(instanceAddress(id, { tab: "graph" }))).toEqual({ view: "instance", id, query: { tab: "graph" } });
    }
  });

  it("says when there is no such view", () => {
    expect(parsed("#/nowhere")).toMatchObject({ view: "unknown", path: "/nowhere" });
    expect(parsed("#/instances/%E0%A4%A")).toMatchObject({ view: "unknown" });
    expect(parsed("#/held/more")).toMatchObject({ view: "unknown" });
  });

  it("leaves out what is empty", () => {
    expect(addressOf("instances", { status: "", name: undefined, order: "oldest" })).toBe("#/instances?order=oldest");
    expect(addressOf("overview")).toBe("#/");
  });
});
