import { describe, expect, it } from "vitest";
import { entered, filledIn, formOf, formOfChoices, ONLY, sketched } from "../src/forms/fields";
import type { JsonSchema } from "../src/api/types";

const PAYMENT: JsonSchema = {
  $ref: "#/$defs/Payment",
  $defs: {
    Payment: {
      type: "object",
      title: "Payment",
      properties: {
        amount: { type: "number", minimum: 0 },
        currency: { enum: ["EUR", "USD"] },
        note: { anyOf: [{ type: "string" }, { type: "null" }], default: null },
        paid_at: { type: "string", format: "date-time" },
        count: { type: "integer", default: 1 },
        gift: { type: "boolean", default: false },
        lines: { type: "array" },
      },
      required: ["amount", "currency", "paid_at"],
    },
  },
};

const FILLED = { amount: "12.50", currency: '"EUR"', paid_at: "2026-05-03T14:30", lines: "[1]" };

describe("a form", () => {
  it("has a field for each property", () => {
    expect(formOf(PAYMENT).fields.map((field) => [field.name, field.kind, field.isRequired])).toEqual([
      ["amount", "number", true],
      ["currency", "choice", true],
      ["note", "text", false],
      ["paid_at", "moment", true],
      ["count", "integer", false],
      ["gift", "check", false],
      ["lines", "json", false],
    ]);
  });

  it("has labels as people write", () => {
    expect(formOf(PAYMENT).fields[3]?.label).toBe("Paid at");
  });

  it("of a single value has one field", () => {
    expect(formOf({ type: "string" })).toMatchObject({ isSingle: true, fields: [{ name: ONLY, kind: "text" }] });
    expect(formOf({ type: "boolean" }).fields[0]?.choices.map((choice) => choice.label)).toEqual(["Yes", "No"]);
  });

  it("of nothing known takes JSON", () => {
    expect(formOf(null).fields[0]?.kind).toBe("json");
    expect(formOf({ anyOf: [{ type: "string" }, { type: "integer" }] }).fields[0]?.kind).toBe("json");
  });
});

describe("what is filled in", () => {
  it("becomes JSON, numbers to the letter", () => {
    expect(entered(formOf(PAYMENT), { ...FILLED, amount: "0012345678901234567890.10" }).text).toBe(
      '{"amount":12345678901234567890.10,"currency":"EUR","note":null,"paid_at":"2026-05-03T14:30:00Z",' +
        '"count":1,"gift":false,"lines":[1]}',
    );
  });

  it("leaves out what is empty and not needed", () => {
    expect(entered(formOf(PAYMENT), { ...FILLED, lines: "" }).text).not.toContain("lines");
  });

  it("is refused field by field", () => {
    const { text, errors } = entered(formOf(PAYMENT), { amount: "-1", count: "1.5", lines: "[", currency: "" });
    expect(text).toBeNull();
    expect(Object.keys(errors)).toEqual(["amount", "currency", "paid_at", "count", "lines"]);
    expect(errors["amount"]).toBe("At least 0.");
  });

  it("is markup only as text", () => {
    expect(entered(formOf({ type: "string" }), { [ONLY]: "<script>" }).text).toBe('"<script>"');
  });
});

it("choices carry their values as JSON", () => {
  const form = formOfChoices([{ label: "Ship it", value: { way: "air" } }, "wait", true]);
  expect(form.fields[0]?.choices).toEqual([
    { label: "Ship it", value: '{"way":"air"}' },
    { label: "wait", value: '"wait"' },
    { label: "Yes", value: "true" },
  ]);
  expect(entered(form, { [ONLY]: '"wait"' }).text).toBe('"wait"');
});

it("an only text that is empty is asked for again; what is meant can be written as JSON", () => {
  const form = formOf({ type: "string", title: "name" });
  expect(entered(form, {}).text).toBeNull();
  expect(entered(form, { value: "x" }).text).toBe('"x"');
  expect(entered(formOf({ type: "string", default: "" }), {}).text).toBe('""');
});

describe("from the form to JSON and back", () => {
  it("nothing is lost, right or wrong", () => {
    const form = formOf(PAYMENT);
    const text = sketched(form, { ...FILLED, count: "many" });
    expect(JSON.parse(text)).toEqual({
      amount: 12.5,
      currency: "EUR",
      note: null,
      paid_at: "2026-05-03T14:30:00Z",
      count: "many",
      gift: false,
      lines: [1],
    });
    const back = filledIn(form, '{"amount": 21, "currency": "USD", "note": null, "gift": true, "lines": [2]}');
    expect(back).toEqual({
      entries: { amount: "21", currency: '"USD"', note: "", gift: "true", lines: "[2]" },
    });
    expect(filledIn(formOf({ type: "integer" }), "7")).toEqual({ entries: { [ONLY]: "7" } });
    expect(sketched(formOf({ type: "integer" }), { [ONLY]: "7" })).toBe("7");
    expect(filledIn(form, "")).toEqual({ entries: {} });
  });

  it("JSON stays JSON where the form has no place for it", () => {
    const form = formOf(PAYMENT);
    for (const text of ["{", "[1]", '{"colour": 1}', '{"amount": 12345678901234567890}'])
      expect(filledIn(form, text)).toHaveProperty("error");
  });
});

it("a field may be called as what every object has", () => {
  const form = formOf({
    type: "object",
    properties: { constructor: { type: "string" }, toString: { type: "integer" } },
  });
  expect(entered(form, {}).text).toBe("{}");
  expect(JSON.parse(entered(form, { constructor: "x", toString: "7" }).text ?? "")).toEqual({
    constructor: "x",
    toString: 7,
  });
});
