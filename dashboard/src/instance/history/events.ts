/** The events of a history as rows: what they are called, what they carry, how they are found. Pure. */
import type { HistoryEvent, Microseconds } from "../shapes";

export const GROUPS = ["activities", "children", "timers", "events", "questions", "messages", "control"] as const;
export type Group = (typeof GROUPS)[number];

/** One event, with where and when it stands. */
export interface EventRow {
  /** Unlike all others: the place in the history, from 0. */
  readonly index: number;
  readonly turn: number;
  readonly at: Microseconds;
  readonly event: HistoryEvent;
}

/** What an event carries: JSON as text, mostly. */
export interface Payload {
  readonly label: string;
  readonly text: string;
}

const GROUP_OF: Record<string, Group> = {
  TaskScheduled: "activities",
  TaskCompleted: "activities",
  TaskFailed: "activities",
  SubOrchestrationInstanceCreated: "children",
  SubOrchestrationInstanceCompleted: "children",
  SubOrchestrationInstanceFailed: "children",
  TimerCreated: "timers",
  TimerFired: "timers",
  EventAwaited: "events",
  EventTaken: "events",
  EventRefused: "events",
  EventRaised: "events",
  TopicAwaited: "events",
  WebhookOpened: "events",
  QuestionAsked: "questions",
  QuestionLinked: "questions",
  QuestionAnswered: "questions",
  EventSent: "messages",
  EventPublished: "messages",
  MessageQueued: "messages",
};

/** What a type is filtered by. */
export function groupOf(type: string): Group {
  return GROUP_OF[type] ?? "control";
}

/** Takes in turns page by page; the event that opens a turn becomes its time. */
export class HistoryRows {
  readonly rows: EventRow[] = [];
  turns = 0;
  private readonly names = new Map<number, string>();

  add(turns: readonly (readonly HistoryEvent[])[]): void {
    for (const turn of turns) {
      this.turns++;
      let at = 0;
      for (const event of turn) {
        if (event.type === "OrchestratorStarted") at = event.timestamp ?? 0;
        else this.rows.push({ index: this.rows.length, turn: this.turns, at, event });
        const name = ownName(event);
        if (event.eventId !== undefined && name) this.names.set(event.eventId, name);
      }
    }
  }

  /** What an event is about: its own name, or that of the call or wait which it ends. */
  nameOf(event: HistoryEvent): string {
    const of = idOf(event);
    return ownName(event) || (of === undefined ? "" : (this.names.get(of) ?? ""));
  }
}

function ownName(event: HistoryEvent): string {
  const { title, topic, queue } = event;
  for (const name of [event.name, title, topic, queue]) if (typeof name === "string" && name) return name;
  return event.type === "TimerCreated" ? "timer" : "";
}

/** The number of the step that an event is about. */
export function idOf(event: HistoryEvent): number | undefined {
  return event.eventId ?? event.taskScheduledId ?? event.taskId ?? event.timerId;
}

/** The payload of an event, or what else is worth reading. */
export function payloadOf(event: HistoryEvent): Payload | null {
  if (typeof event.input === "string") return { label: "input", text: event.input };
  if (typeof event.result === "string") return { label: "result", text: event.result };
  if (event.failureDetails) return { label: "failure", text: JSON.stringify(event.failureDetails) };
  if (typeof event.reason === "string") return { label: "reason", text: JSON.stringify(event.reason) };
  return null;
}

const HEADLESS = new Set(["type", "eventId", "name", "input", "result", "failureDetails", "timestamp"]);

/** The other fields of an event, for those who want to know all. */
export function fieldsOf(event: HistoryEvent): [string, string][] {
  return Object.entries(event)
    .filter(([key, value]) => !HEADLESS.has(key) && value != null)
    .map(([key, value]) => [key, typeof value === "object" ? JSON.stringify(value) : String(value)]);
}

export interface Filter {
  readonly groups: ReadonlySet<Group>;
  readonly text: string;
}

/** The rows that fit: of one of the groups (of any, when there is none) and with the text in name, type or payload. */
export function filtered(history: HistoryRows, filter: Filter): EventRow[] {
  const wanted = filter.text.trim().toLowerCase();
  if (filter.groups.size === 0 && !wanted) return history.rows;
  return history.rows.filter(({ event }) => {
    if (filter.groups.size > 0 && !filter.groups.has(groupOf(event.type))) return false;
    if (!wanted) return true;
    const texts = [event.type, history.nameOf(event), payloadOf(event)?.text ?? ""];
    return texts.some((text) => text.toLowerCase().includes(wanted));
  });
}

/** A type as words: `TaskScheduled` is "task scheduled". */
export function typeWords(type: string): string {
  const words = type.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
  return words.replace("sub orchestration instance", "child");
}
