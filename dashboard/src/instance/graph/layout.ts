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

export type Direction = "LR" | "TB";

export function laidOut(graph: Graph, dagre: Pick<typeof Dagre, "graphlib" | "layout">, direction: Direction): Layout {
  const drawn = new dagre.graphlib.Graph();
  drawn.setGraph({
    rankdir: direction,
    nodesep: 18,
    ranksep: direction === "LR" ? 40 : 28,
    marginx: MARGIN,
    marginy: MARGIN,
  });
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
    edges: edges.map((edge) => ({
      edge,
      path: curve((drawn.edge(edge.from, edge.to) as { points: Point[] }).points, direction),
    })),
  };
}

interface Point {
  readonly x: number;
  readonly y: number;
}

/** A smooth line through the points: it arrives straight, where the arrow's head is. */
function curve(points: readonly Point[], direction: Direction): string {
  const [first, ...rest] = points;
  if (!first) return "";
  let path = `M${round(first.x)} ${round(first.y)}`;
  let from = first;
  for (const to of rest) {
    const x = round((from.x + to.x) / 2);
    const y = round((from.y + to.y) / 2);
    const bend =
      direction === "LR" ? `${x} ${round(from.y)} ${x} ${round(to.y)}` : `${round(from.x)} ${y} ${round(to.x)} ${y}`;
    path += `C${bend} ${round(to.x)} ${round(to.y)}`;
    from = to;
  }
  return path;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
