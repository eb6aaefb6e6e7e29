/**
 * What has led to what: the steps of an instance, and the flow that it belongs to, as nodes and edges. Pure.
 *
 * A step follows those that ended in the turn of its decision, or since the turn before it that decided anything.
 * Alike steps of one turn are one node, so that a fan-out of 300 is a shape and not a carpet.
 */
import type { Flow, FlowItem, Microseconds, Run, Step } from "../shapes";
import { isOpen } from "../timeline/rows";
import { kindText, stateText, titleOf } from "../timeline/wording";

export type NodeKind = "instance" | "event" | "message" | "file" | "failed" | "step" | "group";
export type NodeState = "running" | "completed" | "failed" | "canceled" | "waiting" | "none";

export interface GraphNode {
  readonly id: string;
  readonly kind: NodeKind;
  readonly title: string;
  /** What it is and how it stands. */
  readonly about: string;
  readonly state: NodeState;
  /** The instance that it leads to. */
  readonly instanceId: string | null;
  /** The steps that it stands for. */
  readonly steps: readonly Step[];
  readonly isAsked: boolean;
}

export interface GraphEdge {
  readonly from: string;
  readonly to: string;
  /** Over a topic, a queue, or from an instance to what it called. */
  readonly isFlow: boolean;
}

export interface Graph {
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
  /** Whether steps of one name are one node, whenever they were: there were too many otherwise. */
  readonly isMerged: boolean;
  /** How many nodes were left out. */
  readonly omitted: number;
}

const FEWEST_IN_GROUP = 4;
const MOST_NODES = 150;
export const END = "end";

/** The graph of a run within its flow. */
export function graphOf(run: Run, flow: Flow | null): Graph {
  const nodes = new Map<string, GraphNode>();
  const edges = new Map<string, GraphEdge>();
  const asked = `instance:${run.record.instanceId}`;
  nodes.set(asked, startNode(asked, run));
  const isMerged = groupsOf(run.steps ?? [], decidedIn).length > MOST_NODES;
  const nodeOfStep = addSteps(nodes, edges, asked, run, isMerged ? () => 0 : decidedIn);
  if (flow) addFlow(nodes, edges, asked, run, flow, nodeOfStep);
  return bounded([...nodes.values()], [...edges.values()], isMerged);
}

/** Too large a graph is cut: its beginning stays. */
function bounded(nodes: GraphNode[], edges: GraphEdge[], isMerged: boolean): Graph {
  const shown = nodes.slice(0, 2 * MOST_NODES);
  const known = new Set(shown.map((node) => node.id));
  const drawn = edges.filter((edge) => known.has(edge.from) && known.has(edge.to));
  return { nodes: shown, edges: drawn, isMerged, omitted: nodes.length - shown.length };
}

function startNode(id: string, run: Run): GraphNode {
  const { name, instanceId, status } = run.record;
  const state = stateOfStatus(status);
  return {
    id,
    kind: "instance",
    title: name,
    about: `${instanceId} · ${status}`,
    state,
    instanceId,
    steps: [],
    isAsked: true,
  };
}

// --- steps ----------------------------------------------------------------------------------------

type NodeOfStep = ReadonlyMap<number, string>;

/** When a step was decided: those of one time and name may be one node. */
type Time = (step: Step) => number;

function addSteps(
  nodes: Map<string, GraphNode>,
  edges: Map<string, GraphEdge>,
  start: string,
  run: Run,
  timeOf: Time,
): NodeOfStep {
  const nodeOfStep = new Map<number, string>();
  for (const group of groupsOf(run.steps ?? [], timeOf)) {
    const node = group.length < FEWEST_IN_GROUP ? null : groupNode(group);
    for (const step of group) {
      const own = node ?? stepNode(step);
      nodes.set(own.id, own);
      nodeOfStep.set(step.number, own.id);
    }
  }
  for (const [from, to] of followed(run.steps ?? [], nodeOfStep, start)) connect(edges, from, to, false);
  addEnd(nodes, edges, start, run, nodeOfStep);
  return nodeOfStep;
}

function groupsOf(steps: readonly Step[], timeOf: Time): Step[][] {
  const groups = new Map<string, Step[]>();
  for (const step of steps) {
    const key = `${step.kind} ${step.name ?? ""} ${step.place ?? ""} ${timeOf(step)}`;
    const group = groups.get(key);
    if (group) group.push(step);
    else groups.set(key, [step]);
  }
  // Small groups come apart again, and each step is a node of its own.
  return [...groups.values()].flatMap((group) =>
    group.length < FEWEST_IN_GROUP ? group.map((step) => [step]) : [group],
  );
}

function stepNode(step: Step): GraphNode {
  return {
    id: `step:${step.number}`,
    kind: "step",
    title: titleOf(step) || kindText(step),
    about: `${kindText(step)} · ${stateText(step)}`,
    state: stateOfStep(step),
    instanceId: step.kind === "orchestration" ? (step.instanceId ?? null) : null,
    steps: [step],
    isAsked: false,
  };
}

function groupNode(steps: readonly Step[]): GraphNode {
  const [first] = steps as [Step, ...Step[]];
  const done = steps.filter((step) => !isOpen(step)).length;
  const failed = steps.filter((step) => step.state === "failed").length;
  const about = `${kindText(first)} · ${done} of ${steps.length} done${failed ? `, ${failed} failed` : ""}`;
  const state = failed ? "failed" : done < steps.length ? "running" : stateOfStep(first);
  const title = `${titleOf(first) || kindText(first)} × ${steps.length}`;
  return { id: `group:${first.number}`, kind: "group", title, about, state, instanceId: null, steps, isAsked: false };
}

/** Pairs of what has ended and what was decided then. */
function* followed(steps: readonly Step[], nodeOfStep: NodeOfStep, start: string): Generator<[string, string]> {
  const turns = new Map<number, { decided: Step[]; ended: Step[] }>();
  const turnOf = (key: number): { decided: Step[]; ended: Step[] } => {
    const turn = turns.get(key) ?? { decided: [], ended: [] };
    turns.set(key, turn);
    return turn;
  };
  for (const step of steps) {
    turnOf(decidedIn(step)).decided.push(step);
    const ended = endedIn(step);
    // What is done as soon as it is decided, such as a message, brings no turn about.
    if (ended !== null && ended !== decidedIn(step) && step.state !== "canceled") turnOf(ended).ended.push(step);
  }
  let since: Step[] = [];
  for (const key of [...turns.keys()].sort((a, b) => a - b)) {
    const turn = turns.get(key)!;
    since.push(...turn.ended);
    if (turn.decided.length === 0) continue;
    const causes = since.length > 0 ? since.map((step) => nodeOfStep.get(step.number)!) : [start];
    for (const from of new Set(causes)) for (const step of turn.decided) yield [from, nodeOfStep.get(step.number)!];
    since = [];
  }
}

/** Where the history says no turns, times stand for them: all of a turn has one time. */
function decidedIn(step: Step): number {
  return step.turn ?? step.begunAt;
}

function endedIn(step: Step): Microseconds | null {
  return step.endedTurn ?? (step.turn == null ? (step.endedAt ?? null) : null);
}

function addEnd(
  nodes: Map<string, GraphNode>,
  edges: Map<string, GraphEdge>,
  start: string,
  run: Run,
  nodeOfStep: NodeOfStep,
): void {
  const { status, failure } = run.record;
  const state = stateOfStatus(status);
  if (state !== "completed" && state !== "failed" && state !== "canceled") return;
  const about = failure ? failure.errorMessage : "";
  nodes.set(END, { id: END, kind: "step", title: status, about, state, instanceId: null, steps: [], isAsked: false });
  const hasNext = new Set([...edges.values()].map((edge) => edge.from));
  const last = [...new Set(nodeOfStep.values())].filter((id) => !hasNext.has(id));
  for (const id of last.length > 0 ? last : [start]) connect(edges, id, END, false);
}

// --- the flow around it ---------------------------------------------------------------------------

function addFlow(
  nodes: Map<string, GraphNode>,
  edges: Map<string, GraphEdge>,
  asked: string,
  run: Run,
  flow: Flow,
  nodeOfStep: NodeOfStep,
): void {
  const idOf = new Map<string, string>();
  for (const item of flow.items) {
    const own = item.ref === asked ? asked : ownNode(item, run, nodeOfStep);
    idOf.set(item.ref, own ?? item.ref);
    if (own === null) nodes.set(item.ref, flowNode(item));
  }
  for (const item of flow.items) {
    const from = item.cause == null ? undefined : idOf.get(item.cause);
    const to = idOf.get(item.ref)!;
    const isDrawn = from === asked && nodeOfStep.size > 0 && to !== item.ref;
    if (from !== undefined && from !== to && !isDrawn) connect(edges, from, to, true);
  }
}

/** The step that a child or an event of the flow is shown by already. */
function ownNode(item: FlowItem, run: Run, nodeOfStep: NodeOfStep): string | null {
  const own = (run.steps ?? []).find((step) => {
    if (item.kind === "instance") return step.kind === "orchestration" && step.instanceId === item.id;
    return step.kind === "message" && item.id === `${run.record.executionId}-${step.number}`;
  });
  return own ? (nodeOfStep.get(own.number) ?? null) : null;
}

function flowNode(item: FlowItem): GraphNode {
  const where = item.hub ? ` · on hub ${item.hub}` : "";
  const about = [KIND_WORDS[item.kind], item.kind === "instance" ? item.status : item.key].filter(Boolean).join(" · ");
  return {
    id: item.ref,
    kind: item.kind,
    title: item.name || item.id,
    about: `${about}${item.isGone ? " · deleted" : ""}${where}`,
    state: item.error ? "failed" : item.status ? stateOfStatus(item.status) : "none",
    instanceId: item.kind === "instance" && !item.isGone && !item.hub ? item.id : null,
    steps: [],
    isAsked: false,
  };
}

const KIND_WORDS: Record<FlowItem["kind"], string> = {
  event: "event of a topic",
  message: "message of a queue",
  file: "file",
  instance: "instance",
  failed: "put aside",
};

function connect(edges: Map<string, GraphEdge>, from: string, to: string, isFlow: boolean): void {
  if (from !== to) edges.set(`${from} ${to}`, { from, to, isFlow });
}

function stateOfStep(step: Step): NodeState {
  if (step.state === "running" || step.state === "retrying") return "running";
  return step.state === "unread" ? "waiting" : step.state;
}

function stateOfStatus(status: string): NodeState {
  switch (status) {
    case "Completed":
      return "completed";
    case "Failed":
      return "failed";
    case "Terminated":
    case "Canceled":
      return "canceled";
    case "Running":
      return "running";
    default:
      return "waiting";
  }
}
