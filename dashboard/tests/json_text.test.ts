import { describe, expect, it } from "vitest";
import { countOf, differenceOf } from "../src/instance/difference";
import { isJson, piecesOf, pretty, preview } from "../src/json_text";

describe("a pretty payload", () => {
  it("has lines and indents, and short groups in one line", () => {
    expect(pretty('{"a":1,"b":[1,2,3],"c":{"d":{"e":null}},"f":{}}')).toBe(
      '{\n  "a": 1,\n  "b": [1, 2, 3],\n  "c": {\n    "d": { "e": null }\n  },\n  "f": {}\n}',
    );
  });

  it("keeps long numbers, doubled names and escapes to the letter", () => {
    const text = '{"n":12345678901234567890.10,"n":"\\u00e9 \\"{[,:]}\\""}';
    expect(pretty(text).replace(/\s/g, "")).toBe(text.replace(/\s/g, ""));
  });

  it("is the same value", () => {
    const value = { a: [[], [{}], [{ b: [1, { c: "x, y: {" }] }]], long: "word ".repeat(40), e: [] };
    expect(JSON.parse(pretty(JSON.stringify(value)))).toEqual(value);
  });

  it("leaves what is no JSON", () => {
    expect(pretty("{oh")).toBe("{oh");
    expect(isJson("{oh")).toBe(false);
  });

  it("is previewed in one line", () => {
    expect(preview('{\n "a": 1 }')).toBe('{ "a": 1 }');
    expect(preview("x".repeat(500), 10)).toBe(`${"x".repeat(10)}…`);
  });
});

describe("a difference", () => {
  const texts = (left: string, right: string): string[] =>
    differenceOf(left, right).map((line) => `${line.kind} ${line.text}`);

  it("has the lines of both sides in their order", () => {
    expect(texts("a\nb\nc", "a\nx\nc\nd")).toEqual(["same a", "left b", "right x", "same c", "right d"]);
  });

  it("of equal texts is one gap", () => {
    expect(texts("a\nb", "a\nb")).toEqual(["gap 2 equal lines"]);
  });

  it("leaves out long stretches that are equal", () => {
    const same = Array.from({ length: 40 }, (_, index) => `line ${index}`).join("\n");
    expect(differenceOf(`${same}\na`, `${same}\nb`).map((line) => line.kind)).toEqual([
      ...["gap", "same", "same", "same", "left", "right"],
    ]);
  });

  it("rebuilds both texts", () => {
    const random = mulberry(7);
    for (let round = 0; round < 200; round++) {
      const [left, right] = [words(random), words(random)];
      const lines = differenceOf(left.join("\n"), right.join("\n"));
      if (lines.some((line) => line.kind === "gap")) continue;
      const side = (skipped: string): string[] =>
        lines.filter((line) => line.kind !== skipped).map((line) => line.text);
      expect(side("right")).toEqual(left);
      expect(side("left")).toEqual(right);
    }
  });

  it("of texts that have nothing in common is all of both", () => {
    const many = (word: string): string => Array.from({ length: 3000 }, (_, index) => `${word}${index}`).join("\n");
    expect(countOf(differenceOf(many("a"), many("b")))).toEqual({ left: 3000, right: 3000 });
  });
});

function words(random: () => number): string[] {
  return Array.from({ length: 1 + Math.floor(random() * 8) }, () => "abc"[Math.floor(random() * 3)]!);
}

function mulberry(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe("the pieces of a payload", () => {
  it("keep names and values as they are written", () => {
    const piece = piecesOf('{"a":1.10,"a":[true,{"b":"\\u00e9"}]}');
    expect(piece).toMatchObject({
      kind: "branch",
      isList: false,
      line: null,
      items: [
        { name: '"a"', value: { kind: "leaf", text: "1.10" } },
        { name: '"a"', value: { kind: "branch", isList: true, items: [{ name: null }, { name: null }] } },
      ],
    });
  });

  it("are none of a text that is no JSON", () => {
    expect(piecesOf("<b>")).toBeNull();
  });

  it("are read in good time", () => {
    const text = JSON.stringify(Array.from({ length: 50_000 }, (_, index) => ({ index })));
    const began = performance.now();
    expect(piecesOf(text)).toMatchObject({ isList: true });
    expect(performance.now() - began).toBeLessThan(2_000);
  });
});

it("marks that turn the direction of a text are shown, not obeyed", () => {
  expect(pretty('{"file": "abc\u202egpj.exe"}')).toBe('{ "file": "abc\\u202egpj.exe" }');
  expect(preview("a\u2067b")).toBe("a\\u2067b");
  expect(pretty('"שלום"')).toBe('"שלום"');
});
