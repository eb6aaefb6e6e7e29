/** What two texts have in common, line by line (Myers: An O(ND) difference algorithm). */

export interface DifferenceLine {
  kind: "same" | "left" | "right" | "gap";
  text: string;
  /** Numbers of the line in either text, from 1. */
  left?: number;
  right?: number;
}

const CONTEXT = 3;
const MOST_CHANGES = 500;

/** The lines of both texts; long stretches that are the same become a gap that says how long they are. */
export function differenceOf(left: string, right: string): DifferenceLine[] {
  return withGaps(linesOf(left.split("\n"), right.split("\n")));
}

/** How many lines differ, on either side. */
export function countOf(lines: DifferenceLine[]): { left: number; right: number } {
  return {
    left: lines.filter((line) => line.kind === "left").length,
    right: lines.filter((line) => line.kind === "right").length,
  };
}

function linesOf(left: string[], right: string[]): DifferenceLine[] {
  const head = commonHead(left, right);
  const tail = commonTail(left, right, head);
  const middle = changes(left.slice(head, left.length - tail), right.slice(head, right.length - tail));
  const kinds = [
    ...Array<DifferenceLine["kind"]>(head).fill("same"),
    ...middle,
    ...Array<DifferenceLine["kind"]>(tail).fill("same"),
  ];
  let atLeft = 0;
  let atRight = 0;
  return kinds.map((kind) => {
    if (kind === "right") return { kind, text: right[atRight++] ?? "", right: atRight };
    if (kind === "left") return { kind, text: left[atLeft++] ?? "", left: atLeft };
    return { kind, text: left[atLeft++] ?? "", left: atLeft, right: ++atRight };
  });
}

function commonHead(left: string[], right: string[]): number {
  const most = Math.min(left.length, right.length);
  let count = 0;
  while (count < most && left[count] === right[count]) count++;
  return count;
}

function commonTail(left: string[], right: string[], head: number): number {
  const most = Math.min(left.length, right.length) - head;
  let count = 0;
  while (count < most && left[left.length - 1 - count] === right[right.length - 1 - count]) count++;
  return count;
}

/** The shortest way from left to right; of texts that have little in common all of one, then all of the other. */
function changes(left: string[], right: string[]): DifferenceLine["kind"][] {
  const trace = forward(left, right);
  if (trace !== null) return backward(left, right, trace);
  return [
    ...Array<DifferenceLine["kind"]>(left.length).fill("left"),
    ...Array<DifferenceLine["kind"]>(right.length).fill("right"),
  ];
}

/** For each number of changes how far one gets on each diagonal. */
function forward(left: string[], right: string[]): Map<number, number>[] | null {
  const trace: Map<number, number>[] = [];
  let reach = new Map<number, number>([[1, 0]]);
  for (let count = 0; count <= Math.min(left.length + right.length, MOST_CHANGES); count++) {
    trace.push(new Map(reach));
    const next = new Map(reach);
    for (let diagonal = -count; diagonal <= count; diagonal += 2) {
      let x = isDown(reach, diagonal, count) ? at(reach, diagonal + 1) : at(reach, diagonal - 1) + 1;
      while (x < left.length && x - diagonal < right.length && left[x] === right[x - diagonal]) x++;
      next.set(diagonal, x);
      if (x >= left.length && x - diagonal >= right.length) return trace;
    }
    reach = next;
  }
  return null;
}

function backward(left: string[], right: string[], trace: Map<number, number>[]): DifferenceLine["kind"][] {
  const kinds: DifferenceLine["kind"][] = [];
  let x = left.length;
  let y = right.length;
  for (let count = trace.length - 1; count >= 0; count--) {
    const reach = trace[count] as Map<number, number>;
    const diagonal = x - y;
    const before = isDown(reach, diagonal, count) ? diagonal + 1 : diagonal - 1;
    const fromX = count === 0 ? 0 : at(reach, before);
    const fromY = count === 0 ? 0 : fromX - before;
    while (x > fromX && y > fromY) {
      kinds.push("same");
      x--;
      y--;
    }
    if (count > 0) kinds.push(x === fromX ? "right" : "left");
    x = fromX;
    y = fromY;
  }
  return kinds.reverse();
}

function isDown(reach: Map<number, number>, diagonal: number, count: number): boolean {
  return diagonal === -count || (diagonal !== count && at(reach, diagonal - 1) < at(reach, diagonal + 1));
}

function at(reach: Map<number, number>, diagonal: number): number {
  return reach.get(diagonal) ?? 0;
}

function withGaps(lines: DifferenceLine[]): DifferenceLine[] {
  const isShown = lines.map(() => false);
  lines.forEach((line, index) => {
    if (line.kind === "same") return;
    for (let near = Math.max(0, index - CONTEXT); near <= Math.min(lines.length - 1, index + CONTEXT); near++)
      isShown[near] = true;
  });
  const shown: DifferenceLine[] = [];
  let hidden = 0;
  const close = (): void => {
    if (hidden > 0) shown.push({ kind: "gap", text: `${hidden} equal ${hidden === 1 ? "line" : "lines"}` });
    hidden = 0;
  };
  lines.forEach((line, index) => {
    if (!isShown[index]) hidden++;
    else {
      close();
      shown.push(line);
    }
  });
  close();
  return shown;
}
