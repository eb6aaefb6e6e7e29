/** Steps in words, as `tenuto instances show` has them. Pure. */
import type { Step } from "../shapes";

/** What a step is called. */
export function titleOf(step: Step): string {
  const name = plainName(step.name ?? "");
  switch (step.kind) {
    case "timer":
      return step.purpose === "timeout"
        ? "time limit"
        : step.purpose === "poll"
          ? "pause before asking again"
          : "timer";
    case "event":
      return step.place === "topic" ? `${name} / ${step.key ?? ""}` : name;
    case "message":
      if (step.place === "topic") return step.key ? `${name} / ${step.key}` : name;
      return step.place === "queue" ? name : `${name} to ${step.instanceId ?? "?"}`;
    case "activity":
      return step.call || name;
    default:
      return name;
  }
}

const KINDS: Record<Step["kind"], string> = {
  activity: "activity",
  orchestration: "child",
  timer: "timer",
  event: "event",
  question: "question",
  message: "message",
};

/** What kind of step it is, for people. */
export function kindText(step: Step): string {
  if (step.kind === "message") {
    if (step.place === "topic") return "published event";
    return step.place === "queue" ? "queued message" : "sent event";
  }
  if (step.kind === "event" && step.place === "topic") return "event of a topic";
  return step.kind === "orchestration" && step.isDetached ? "child, on its own" : KINDS[step.kind];
}

/** Where it stands, in words. */
export function stateText(step: Step): string {
  if (step.isExpired) return "time is over";
  switch (step.state) {
    case "waiting":
      return step.kind === "activity" ? "queued" : "waiting";
    case "retrying":
      return `waits for attempt ${(step.attempt ?? 1) + 1}`;
    case "unread":
      return "not read by anybody";
    case "completed":
      return step.kind === "timer" ? "fired" : step.kind === "message" ? "sent" : "completed";
    default:
      return step.state;
  }
}

/** The name without what marks activities of Tenuto itself. */
function plainName(name: string): string {
  return name.replace(/^BuiltIn::/, "");
}
