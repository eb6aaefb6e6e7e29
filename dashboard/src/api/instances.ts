/** What can be asked of instances and done to them. */

import { areApart } from "../beginnings";
import { get, post, remove, request, type Parameters, type Result } from "./client";
import { statusOf } from "../statuses";
import { withJson } from "./json_body";
import type { Instance, InstancePage, InstanceRecord } from "./types";

const MANAGEMENT = "/runtime/webhooks/durabletask";

function pathOfInstance(id: string): string {
  return `/admin/instances/${encodeURIComponent(id)}`;
}

export function listInstances(query: Parameters, signal?: AbortSignal): Promise<Result<InstancePage>> {
  return get<InstancePage>("/admin/instances", query, signal);
}

export function readInstance(id: string, signal?: AbortSignal): Promise<Result<Instance>> {
  return get<Instance>(pathOfInstance(id), undefined, signal);
}

export interface Start {
  readonly name: string;
  /** JSON as text: it goes out to the letter, so that long numbers stay what they are. */
  readonly inputText?: string;
  readonly instanceId?: string;
  readonly version?: string;
  readonly tags?: Readonly<Record<string, string>>;
  /** What happens to an instance that has the id already: it is kept, or replaced once it has ended. */
  readonly reuse?: "never" | "when_finished";
}

export function startInstance({ inputText, ...start }: Start): Promise<Result<{ readonly instanceId: string }>> {
  return request("POST", "/admin/instances", { text: withJson(start, "input", inputText) });
}

export type Control = "suspend" | "resume" | "terminate" | "fail";

/** Suspends, resumes, terminates or fails an instance. `recurse`: with what it has called (terminate). */
export function controlInstance(
  id: string,
  control: Control,
  options: { readonly reason?: string; readonly recurse?: boolean } = {},
): Promise<Result<void>> {
  return post(`${pathOfInstance(id)}/${control}`, options);
}

/** What tells an instance from the next under its id, as somebody saw it; with its hold where it was held. */
export type Seen = Pick<InstanceRecord, "instanceId" | "createdAt"> &
  Partial<Pick<InstanceRecord, "executionId" | "hold">>;

/**
 * Acts on an instance if it is still the one that was seen, and held if that was: what stood on the page may be old, and
 * to end or delete another one, or a healthy one, cannot be undone.
 */
export async function ifAsSeen<T>(seen: Seen, act: () => Promise<Result<T>>): Promise<Result<T>> {
  const answer = await readInstance(seen.instanceId);
  if (!answer.ok) return answer;
  const message = changedSince(seen, answer.value);
  return message === null ? act() : { ok: false, error: { code: "page", message, status: 409 } };
}

function changedSince(seen: Seen, now: InstanceRecord): string | null {
  const id = JSON.stringify(seen.instanceId);
  const isOther = areApart(seen.createdAt, now.createdAt) || (seen.hold && seen.executionId !== now.executionId);
  if (isOther) return `nothing was done: ${id} was started anew in the meantime`;
  if (!seen.hold) return null;
  if (!now.hold) return `nothing was done: ${id} is not held any more, it is ${statusOf(now)} now`;
  if (now.hold.reason !== seen.hold.reason || now.hold.message !== seen.hold.message)
    return `nothing was done: ${id} went on in the meantime, and is held for another reason now: ${now.hold.message}`;
  return null;
}

/** Runs it again with the same input, under a fresh id or its own. Says the id. */
export async function restartInstance(id: string, withNewId: boolean): Promise<Result<{ readonly id: string }>> {
  return request("POST", `${MANAGEMENT}/instances/${encodeURIComponent(id)}/restart`, {
    query: { restartWithNewInstanceId: withNewId },
  });
}

/** Deletes it with its history; `force`: also when it has not ended. */
export function purgeInstance(id: string, force = false): Promise<Result<void>> {
  return remove(pathOfInstance(id), force ? { force: true } : undefined);
}

/** Raises an external event; its data is JSON as text. */
export function raiseEvent(id: string, name: string, text: string): Promise<Result<void>> {
  return request("POST", `${pathOfInstance(id)}/raise-event`, { text: withJson({ name }, "input", text) });
}

/** Answers a question of `ctx.ask`; the answer is JSON as text. */
export function answerQuestion(
  id: string,
  text: string,
  question?: number | string,
  by?: string,
): Promise<Result<void>> {
  return request("POST", `${pathOfInstance(id)}/answer`, { text: withJson({ question, by }, "answer", text) });
}
