/** Publishes events and queues messages. */

import { request, type Result } from "./client";
import { withJson } from "./json_body";

export interface EventToPublish {
  readonly topic: string;
  readonly key?: string;
  readonly type?: string;
  readonly id?: string;
}

export interface MessageToQueue {
  readonly queue: string;
  readonly id?: string;
  readonly delaySeconds?: number;
}

/** Its data is JSON as text. */
export function publishEvent(event: EventToPublish, text: string): Promise<Result<unknown>> {
  return request("POST", "/admin/publish", { text: `{"events":[${withJson(event, "data", text)}]}` });
}

/** Its data is JSON as text. */
export function queueMessage(message: MessageToQueue, text: string): Promise<Result<unknown>> {
  return request("POST", "/admin/publish", { text: `{"messages":[${withJson(message, "data", text)}]}` });
}
