/**
 * What the server sends, as `/openapi.json` describes it. Times are microseconds since 1970 UTC.
 *
 * A field that has its default is left out by the server, hence the many `?`.
 */

export * from "./functions";
export * from "./hub";
export * from "./instances";
export * from "./messages";
export * from "./run";
export * from "./schema";
export * from "./session";
export * from "./usage";
