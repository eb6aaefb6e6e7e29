/** The JSON schema of an orchestrator's whole input, from those of its parameters. Pure. */

import type { FunctionInfo, JsonSchema } from "../../api/types";

/** One parameter takes the input as it is; of more, the input is an object by name. Null: takes none. */
export function inputSchema(info: FunctionInfo): JsonSchema | null {
  const [only, ...more] = info.parameters;
  if (!only) return null;
  if (more.length === 0) return { ...only.schema, title: only.schema?.title ?? only.name };
  const properties = Object.fromEntries(info.parameters.map((one) => [one.name, one.schema ?? {}]));
  const required = info.parameters.filter((one) => one.required).map((one) => one.name);
  const definitions = Object.assign({}, ...info.parameters.map((one) => one.schema?.$defs ?? {})) as Record<
    string,
    JsonSchema
  >;
  return { type: "object", properties, required, $defs: definitions };
}

/** What raw input begins with: the names, ready to be filled in. */
export function inputSketch(info: FunctionInfo): string {
  const [only, ...more] = info.parameters;
  if (!only) return "";
  const schema = inputSchema(info) as JsonSchema;
  return JSON.stringify(more.length === 0 ? sketchOf(schema, schema, 0) : sketchOf(schema, schema, 0), null, 2);
}

const DEEPEST = 4;

function sketchOf(given: JsonSchema, root: JsonSchema, depth: number): unknown {
  const schema = given.$ref ? (root.$defs?.[given.$ref.replace("#/$defs/", "")] ?? {}) : given;
  if (schema.default !== undefined) return schema.default;
  if (schema.enum) return schema.enum[0];
  if (schema.properties && depth < DEEPEST) {
    return Object.fromEntries(
      Object.entries(schema.properties).map(([name, one]) => [name, sketchOf(one, root, depth + 1)]),
    );
  }
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  return { string: "", integer: 0, number: 0, boolean: false, array: [], object: {} }[type as string] ?? null;
}
