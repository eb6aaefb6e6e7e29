/**
 * Payloads as people read them: JSON text with lines and indents, kept to the letter.
 *
 * Never parsed into values on the way: numbers beyond what JavaScript holds and names that come twice would change.
 */

const INDENT = "  ";
const LONGEST_LINE = 72;

/** A value as it is written: what a leaf or a name holds is a piece of the text, quotes included. */
export type Piece = Leaf | Branch;

export interface Leaf {
  readonly kind: "leaf";
  readonly text: string;
}

export interface Branch {
  readonly kind: "branch";
  readonly isList: boolean;
  readonly items: readonly Item[];
  /** The whole of it in one line; null when that is too long, or hard to read. */
  readonly line: string | null;
}

export interface Item {
  /** Null in a list. */
  readonly name: string | null;
  readonly value: Piece;
}

/** The text in its pieces; null when it is no JSON. */
export function piecesOf(text: string): Piece | null {
  return isJson(text) ? new Reader(tokensOf(text)).value() : null;
}

/** The text with line breaks; text that is no JSON comes back as it is. */
export function pretty(text: string): string {
  const piece = piecesOf(text);
  return inOrder(piece === null ? text : written(piece, ""));
}

function written(piece: Piece, indent: string): string {
  if (piece.kind === "leaf") return piece.text;
  if (piece.line !== null) return piece.line;
  const deeper = indent + INDENT;
  const lines = piece.items.map(
    ({ name, value }) => `${deeper}${name === null ? "" : `${name}: `}${written(value, deeper)}`,
  );
  const [begin, end] = signsOf(piece);
  return `${begin}\n${lines.join(",\n")}\n${indent}${end}`;
}

/** What an object or a list begins and ends with. */
export function signsOf(branch: Branch): readonly [string, string] {
  return branch.isList ? ["[", "]"] : ["{", "}"];
}

/** A text in one line, for tables: what is longer ends with an ellipsis. */
export function preview(text: string, most = 120): string {
  const line = text.slice(0, most * 2).replace(/\s+/g, " ");
  return inOrder(line.length > most || text.length > most * 2 ? `${line.slice(0, most)}…` : line);
}

/** Marks that turn the direction of what follows: they can make a text read as another. */
const TURNS = /[\u202a-\u202e\u2066-\u2069]/g;

/** A text as it is stored, from left to right: such marks are shown as JSON writes them. */
export function inOrder(text: string): string {
  return text.replace(TURNS, (mark) => `\\u${mark.charCodeAt(0).toString(16)}`);
}

/** Whether a text is JSON. */
export function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function tokensOf(text: string): string[] {
  return text.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g) ?? [];
}

/** Reads tokens of a text that is known to be JSON. */
class Reader {
  private at = 0;

  constructor(private readonly tokens: readonly string[]) {}

  value(): Piece {
    const token = this.next();
    if (token !== "{" && token !== "[") return { kind: "leaf", text: token };
    const isList = token === "[";
    const items: Item[] = [];
    while (this.tokens[this.at] !== "}" && this.tokens[this.at] !== "]") {
      items.push({ name: isList ? null : this.name(), value: this.value() });
      if (this.tokens[this.at] === ",") this.at += 1;
    }
    this.at += 1;
    return { kind: "branch", isList, items, line: inOneLine(isList, items) };
  }

  private name(): string {
    const name = this.next();
    this.at += 1;
    return name;
  }

  private next(): string {
    this.at += 1;
    return this.tokens[this.at - 1] as string;
  }
}

/** A short object or list of values that hold no others. */
function inOneLine(isList: boolean, items: readonly Item[]): string | null {
  const parts: string[] = [];
  let length = 0;
  for (const { name, value } of items) {
    if (value.kind === "branch" && value.items.length > 0) return null;
    const text = value.kind === "leaf" ? value.text : value.isList ? "[]" : "{}";
    parts.push(name === null ? text : `${name}: ${text}`);
    length += (parts.at(-1) as string).length + 2;
    if (length > LONGEST_LINE) return null;
  }
  const inner = parts.join(", ");
  if (isList || inner === "") return isList ? `[${inner}]` : `{${inner}}`;
  return `{ ${inner} }`;
}
