/**
 * Requests to the host that the page came from.
 *
 * Errors are values: no function here throws, and none shows anything. Whether the host answers at all is told to
 * `connection`, that a session has ended to `session`.
 */

import { acts } from "./acts";
import { heard, unheard } from "./connection";
import { prefix } from "./prefix";

export interface ApiError {
  /** A code of docs/errors.md; `network` when the host did not answer, `http` when it said nothing that is understood. */
  readonly code: string;
  readonly message: string;
  /** The HTTP status; 0 without an answer. */
  readonly status: number;
}

export type Result<T> =
  | { readonly ok: true; readonly value: T; readonly next: string | null }
  | { readonly ok: false; readonly error: ApiError };

/** Values of a query: a list is sent as several parameters, what is undefined or empty is left out. */
export type Parameters = Readonly<Record<string, string | number | boolean | readonly string[] | null | undefined>>;

export interface Options {
  readonly query?: Parameters;
  readonly body?: unknown;
  /** The body as JSON text already, to be sent to the letter. */
  readonly text?: string;
  readonly signal?: AbortSignal;
}

const CONTINUATION = "x-ms-continuation-token";

/** Called when a request is answered 401: `session` sets it. */
export const onUnauthorized: { call: () => void } = { call: () => undefined };

/** The path of a request, with the prefix and the query. */
export function pathOf(path: string, query: Parameters = {}): string {
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    valuesOf(value).map((one): [string, string] => [name, one]),
  );
  return `${prefix}${path}${pairs.length === 0 ? "" : `?${new URLSearchParams(pairs)}`}`;
}

function valuesOf(value: Parameters[string]): readonly string[] {
  if (value === undefined || value === null || value === "") return [];
  return typeof value === "object" ? value : [String(value)];
}

export function get<T>(path: string, query?: Parameters, signal?: AbortSignal): Promise<Result<T>> {
  return request<T>("GET", path, { ...(query && { query }), ...(signal && { signal }) });
}

export function post<T = void>(path: string, body?: unknown, query?: Parameters): Promise<Result<T>> {
  return request<T>("POST", path, { body, ...(query && { query }) });
}

export function remove<T = void>(path: string, query?: Parameters): Promise<Result<T>> {
  return request<T>("DELETE", path, query ? { query } : {});
}

export async function request<T>(method: string, path: string, options: Options = {}): Promise<Result<T>> {
  const body = options.text ?? (options.body === undefined ? undefined : JSON.stringify(options.body));
  let answer: Response;
  try {
    answer = await fetch(pathOf(path, options.query), {
      method,
      credentials: "same-origin",
      cache: "no-store",
      headers: headersOf(body !== undefined),
      ...(body !== undefined && { body }),
      ...(options.signal && { signal: options.signal }),
    });
  } catch (error) {
    // fetch throws for one reason besides being called off: there was no answer.
    if (options.signal?.aborted) return failed("aborted", "no longer wanted", 0);
    unheard();
    return failed(
      "network",
      `the host does not answer (${error instanceof Error ? error.message : "no reason given"})`,
      0,
    );
  }
  heard();
  if (answer.status === 401) onUnauthorized.call();
  const result = await read<T>(answer);
  if (answer.ok && method !== "GET" && path !== "/session") acts.value += 1;
  return result;
}

function headersOf(hasBody: boolean): Record<string, string> {
  const headers: Record<string, string> = { accept: "application/json", "x-tenuto-session": "1" };
  if (hasBody) headers["content-type"] = "application/json";
  return headers;
}

async function read<T>(answer: Response): Promise<Result<T>> {
  let body: unknown;
  try {
    const text = await answer.text();
    body = text === "" ? undefined : JSON.parse(text);
  } catch {
    // Cut off, or not of Tenuto (a proxy's page): the status is all there is to tell.
    return failed(
      "http",
      `the answer (status ${answer.status}) is not JSON; is something between this page and the host?`,
      answer.status,
    );
  }
  if (answer.ok) return { ok: true, value: body as T, next: answer.headers.get(CONTINUATION) || null };
  const { code, message } = (body ?? {}) as { code?: unknown; message?: unknown };
  return failed(
    typeof code === "string" ? code : "http",
    typeof message === "string" ? message : `the host answered with status ${answer.status}`,
    answer.status,
  );
}

function failed(code: string, message: string, status: number): { readonly ok: false; readonly error: ApiError } {
  return { ok: false, error: { code, message, status } };
}
