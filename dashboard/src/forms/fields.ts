/**
 * Forms from JSON schemas: which fields there are, and the JSON that comes of what was filled in. Pure.
 *
 * What has no simple field (objects in objects, lists, several types) is filled in as JSON.
 */
import type { JsonSchema } from "../api/types";
import { isJson } from "../json_text";

export type FieldKind = "text" | "integer" | "number" | "check" | "choice" | "date" | "time" | "moment" | "json";

export interface Choice {
  readonly label: string;
  /** JSON as text. */
  readonly value: string;
}

export interface Field {
  readonly name: string;
  readonly label: string;
  readonly kind: FieldKind;
  readonly isRequired: boolean;
  readonly isNullable: boolean;
  readonly hint: string;
  readonly choices: readonly Choice[];
  /** What it holds at first. */
  readonly initial: string;
  readonly schema: JsonSchema;
}

export interface Form {
  readonly fields: readonly Field[];
  /** Whether the only field is the whole value. */
  readonly isSingle: boolean;
}

export type Entries = Readonly<Record<string, string>>;

export interface Entered {
  /** JSON as text; null when something is wrong. */
  readonly text: string | null;
  readonly errors: Readonly<Record<string, string>>;
}

export const ONLY = "value";
const MOST_FIELDS = 50;
const YES_OR_NO: readonly Choice[] = [
  { label: "Yes", value: "true" },
  { label: "No", value: "false" },
];

/** The form for values of a schema; without one, a field for JSON. */
export function formOf(schema: JsonSchema | null | undefined): Form {
  if (!schema) return single({});
  const root = resolved(schema, schema);
  const properties = Object.entries(root.properties ?? {});
  if (properties.length === 0 || properties.length > MOST_FIELDS) return single(root, schema);
  const required = new Set(root.required ?? []);
  const fields = properties.map(([name, one]) => fieldOf(name, one, schema, required.has(name)));
  return { fields, isSingle: false };
}

/** The form for one of several values. */
export function formOfChoices(values: readonly unknown[]): Form {
  const field = { ...fieldOf(ONLY, {}, {}, true), kind: "choice" as const, label: "Answer" };
  return { fields: [{ ...field, choices: values.map(choiceOf) }], isSingle: true };
}

function single(schema: JsonSchema, root: JsonSchema = schema): Form {
  const field = fieldOf(ONLY, schema, root, true);
  return { fields: [{ ...field, label: schema.title ?? "Value" }], isSingle: true };
}

function fieldOf(name: string, given: JsonSchema, root: JsonSchema, isRequired: boolean): Field {
  const { schema, isNullable } = withoutNull(resolved(given, root), root);
  const kind = kindOf(schema, isNullable);
  const fallback = given.default ?? schema.default;
  return {
    name,
    label: given.title ?? schema.title ?? spoken(name),
    kind,
    isRequired: isRequired && !isNullable,
    isNullable,
    hint: given.description ?? schema.description ?? "",
    choices: choicesOf(schema, kind),
    initial: fallback === undefined || fallback === null ? "" : shownAs(kind, fallback),
    schema,
  };
}

function resolved(schema: JsonSchema, root: JsonSchema, depth = 0): JsonSchema {
  if (depth > 20) return {};
  if (schema.allOf?.length === 1 && schema.allOf[0]) return resolved({ ...schema.allOf[0] }, root, depth + 1);
  if (!schema.$ref) return schema;
  const name = schema.$ref.replace(/^#\/\$defs\//, "");
  const found = root.$defs?.[name];
  return found ? resolved(found, root, depth + 1) : {};
}

function withoutNull(schema: JsonSchema, root: JsonSchema): { schema: JsonSchema; isNullable: boolean } {
  const options = schema.anyOf ?? schema.oneOf;
  if (options) {
    const rest = options.filter((one) => one.type !== "null");
    const isNullable = rest.length < options.length;
    if (rest.length === 1 && rest[0]) return { schema: resolved(rest[0], root), isNullable };
    return { schema: {}, isNullable };
  }
  if (!Array.isArray(schema.type)) return { schema, isNullable: false };
  const types = schema.type.filter((one) => one !== "null");
  const isNullable = types.length < schema.type.length;
  return { schema: types.length === 1 ? { ...schema, type: types[0]! } : {}, isNullable };
}

const FORMATS: Record<string, FieldKind> = { date: "date", time: "time", "date-time": "moment" };

function kindOf(schema: JsonSchema, isNullable: boolean): FieldKind {
  if (schema.enum) return "choice";
  switch (schema.type) {
    case "string":
      return FORMATS[schema.format ?? ""] ?? "text";
    case "integer":
    case "number":
      return schema.type;
    case "boolean":
      // Nobody can leave a box unchecked on purpose: without a default it is a choice.
      return isNullable || schema.default === undefined ? "choice" : "check";
    default:
      return "json";
  }
}

function choicesOf(schema: JsonSchema, kind: FieldKind): readonly Choice[] {
  if (schema.enum) return schema.enum.map(choiceOf);
  return kind === "choice" ? YES_OR_NO : [];
}

/** A choice is a value, or `{label, value}`. */
function choiceOf(one: unknown): Choice {
  if (typeof one === "object" && one !== null && "label" in one && "value" in one) {
    return { label: String(one.label), value: JSON.stringify(one.value) };
  }
  const label = typeof one === "boolean" ? (one ? "Yes" : "No") : typeof one === "string" ? one : JSON.stringify(one);
  return { label, value: JSON.stringify(one) };
}

function shownAs(kind: FieldKind, value: unknown): string {
  const isText = typeof value === "string" && kind !== "choice" && kind !== "json";
  return isText ? value : JSON.stringify(value);
}

function spoken(name: string): string {
  const text = name.replaceAll("_", " ").trim();
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

/** The JSON of what was filled in, or what is wrong with it. */
export function entered(form: Form, entries: Entries): Entered {
  const errors: Record<string, string> = {};
  const members: string[] = [];
  for (const field of form.fields) {
    const given = givenOf(field, entries);
    const read = form.isSingle && isBlankText(field, given) ? { error: BLANK } : readField(field, given);
    if ("error" in read) errors[field.name] = read.error;
    else if (form.isSingle) members.push(read.text ?? "null");
    else if (read.text !== null) members.push(`${JSON.stringify(field.name)}:${read.text}`);
  }
  if (Object.keys(errors).length > 0) return { text: null, errors };
  return { text: form.isSingle ? (members[0] ?? "null") : `{${members.join(",")}}`, errors };
}

/** Of a value that is all there is, nobody can tell whether it was left out or meant. */
function isBlankText(field: Field, given: string): boolean {
  return field.kind === "text" && !field.isNullable && given === "" && field.schema.default === undefined;
}

const BLANK = 'Enter a text. If an empty one is meant, write "" as JSON.';

type Read = { readonly text: string | null } | { readonly error: string };

/** JSON text; null when the field is left out. */
function readField(field: Field, given: string): Read {
  if (field.kind === "check") return { text: given === "true" ? "true" : "false" };
  if (given.trim() === "") return readEmpty(field);
  switch (field.kind) {
    case "integer":
      return /^\s*[+-]?\d+\s*$/.test(given) ? inRange(field, plainNumber(given)) : { error: "Enter a whole number." };
    case "number":
      return isJson(plainNumber(given)) && Number.isFinite(Number(given))
        ? inRange(field, plainNumber(given))
        : { error: "Enter a number." };
    case "choice":
      return { text: given };
    case "json":
      return isJson(given) ? { text: given } : { error: "This is no JSON. Texts need quotes." };
    case "moment":
      return { text: JSON.stringify(withZone(given)) };
    default:
      return ofLength(field, given);
  }
}

function readEmpty(field: Field): Read {
  if (field.isNullable) return { text: "null" };
  if (!field.isRequired) return { text: null };
  if (field.kind === "text" && !field.schema.minLength) return { text: '""' };
  return { error: field.kind === "choice" ? "Choose one." : "This is needed." };
}

/** As JSON writes it: no plus, no zeros in front. */
function plainNumber(given: string): string {
  return given
    .trim()
    .replace(/^\+/, "")
    .replace(/^(-?)0+(?=\d)/, "$1");
}

function inRange(field: Field, text: string): Read {
  const { minimum, maximum } = field.schema;
  if (minimum !== undefined && Number(text) < minimum) return { error: `At least ${minimum}.` };
  if (maximum !== undefined && Number(text) > maximum) return { error: `At most ${maximum}.` };
  return { text };
}

function ofLength(field: Field, text: string): Read {
  const { minLength, maxLength } = field.schema;
  if (minLength !== undefined && text.length < minLength) return { error: `At least ${minLength} characters.` };
  if (maxLength !== undefined && text.length > maxLength) return { error: `At most ${maxLength} characters.` };
  return { text: JSON.stringify(text) };
}

/** Without a zone it is UTC, as the label says. */
function withZone(given: string): string {
  const full = /T\d\d:\d\d$/.test(given) ? `${given}:00` : given;
  return /(?:Z|[+-]\d\d:\d\d)$/.test(full) ? full : `${full}Z`;
}

/** What was filled in as JSON, to be gone on with by hand: what does not fit stays as it was typed, in quotes. */
export function sketched(form: Form, entries: Entries): string {
  const members = form.fields.flatMap((field): string[] => {
    const given = givenOf(field, entries);
    const read = readField(field, given);
    const text = "error" in read ? JSON.stringify(given) : read.text;
    if (form.isSingle) return [text ?? "null"];
    return text === null ? [] : [`${JSON.stringify(field.name)}: ${text}`];
  });
  return form.isSingle ? (members[0] ?? "null") : members.length === 0 ? "{}" : `{\n  ${members.join(",\n  ")}\n}`;
}

/** What JSON means for the fields of a form; or why it has no place in them, and the JSON is to be gone on with. */
export function filledIn(form: Form, text: string): { readonly entries: Entries } | { readonly error: string } {
  const only = form.fields[0];
  if (text.trim() === "") return { entries: {} };
  if (!isJson(text)) return { error: "This is no JSON." };
  if (/\d{16}/.test(text)) return { error: "The form cannot hold so long a number." };
  const value = JSON.parse(text) as unknown;
  if (form.isSingle && only) return { entries: { [only.name]: entryOf(only, value) } };
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return { error: "The form is for an object." };
  const fields = new Map(form.fields.map((field) => [field.name, field]));
  const entries: Record<string, string> = {};
  for (const [name, one] of Object.entries(value)) {
    const field = fields.get(name);
    if (!field) return { error: `The form has no field for ${JSON.stringify(name)}.` };
    entries[name] = entryOf(field, one);
  }
  return { entries };
}

/** What was filled in, or what stood there: a field may be called as what every object has. */
export function givenOf(field: Field, entries: Entries): string {
  return Object.hasOwn(entries, field.name) ? (entries[field.name] as string) : field.initial;
}

function entryOf(field: Field, value: unknown): string {
  return value === null ? "" : shownAs(field.kind, value);
}
