/** What can be asked of instances and done to them. */

import { get, post, remove, request, type Parameters, type Result } from "./client";
import type { Instance, InstancePage } from "./types";

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
  readonly input?: unknown;
  readonly instanceId?: string;
  readonly version?: string;
  readonly tags?: Readonly<Record<string, string>>;
}

export function startInstance(start: Start): Promise<Result<{ readonly instanceId: string }>> {
  return post("/admin/instances", start);
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

export function raiseEvent(id: string, name: string, input: unknown): Promise<Result<void>> {
  return post(`${pathOfInstance(id)}/raise-event`, { name, input });
}

export function answerQuestion(id: string, answer: unknown, question?: number | string, by?: string): Promise<Result<void>> {
  return post(`${pathOfInstance(id)}/answer`, { answer, question, by });
}
