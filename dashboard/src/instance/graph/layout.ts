/** Where nodes and edges stand. Pure; the library that finds it out is handed in. */
import type * as Dagre from "@dagrejs/dagre";
import type { Graph, GraphEdge, GraphNode } from "./model";

export interface PlacedNode {
  readonly node: GraphNode;
  /** Its upper left corner. */
  readonly x: number;
  readonly y: number;
}

export interface PlacedEdge {
  readonly edge: GraphEdge;
  readonly path: string;
}

export interface Layout {
  readonly width: number;
  readonly height: number;
  readonly nodes: readonly PlacedNode[];
  readonly edges: readonly PlacedEdge[];
}

export const NODE_WIDTH = 172;
export const NODE_HEIGHT = 52;
const MARGIN = 16;

export function laidOut(graph: Graph, dagre: Pick<typeof Dagre, "graphlib" | "layout">): Layout {
  const drawn = new dagre.graphlib.Graph();
  drawn.setGraph({ rankdir: "LR", nodesep: 18, ranksep: 40, marginx: MARGIN, marginy: MARGIN });
  drawn.setDefaultEdgeLabel(() => ({}));
  for (const node of graph.nodes) drawn.setNode(node.id, { width: NODE_WIDTH, height: NODE_HEIGHT });
  const known = new Set(graph.nodes.map((node) => node.id));
  const edges = graph.edges.filter((edge) => known.has(edge.from) && known.has(edge.to));
  for (const edge of edges) drawn.setEdge(edge.from, edge.to);
  dagre.layout(drawn);
  const size = drawn.graph() as { width?: number; height?: number };
  return {
    width: size.width ?? 0,
    height: size.height ?? 0,
    nodes: graph.nodes.map((node) => {
      const { x, y } = drawn.node(node.id) as Point;
      return { node, x: x - NODE_WIDTH / 2, y: y - NODE_HEIGHT / 2 };
    }),
    edges: edges.map((edge) => ({ edge, path: curve((drawn.edge(edge.from, edge.to) as { points: Point[] }).points) })),
  };
}

interface Point {
  readonly x: number;
  readonly y: number;
}

/** A smooth line through the points: it arrives level, where the arrow's head is. */
function curve(points: readonly Point[]): string {
  const [first, ...rest] = points;
  if (!first) return "";
  let path = `M${round(first.x)} ${round(first.y)}`;
  let from = first;
  for (const to of rest) {
    const middle = (from.x + to.x) / 2;
    path += `C${round(middle)} ${round(from.y)} ${round(middle)} ${round(to.y)} ${round(to.x)} ${round(to.y)}`;
    from = to;
  }
  return path;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
