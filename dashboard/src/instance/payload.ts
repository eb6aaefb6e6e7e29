/**
 * Payloads as people read them: JSON text with lines and indents, kept to the letter.
 *
 * Never parsed into values on the way: numbers beyond what JavaScript holds and names that come twice would change.
 */

const INDENT = "  ";
const LONGEST_LINE = 72;

/** The text with line breaks; text that is no JSON comes back as it is. */
export function pretty(text: string): string {
  if (!isJson(text)) return text;
  const tokens = tokensOf(text);
  const lines = new Lines();
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at] as string;
    const length = isOpening(token) ? lengthOfShortGroup(tokens, at) : 0;
    if (length > 0) {
      lines.add(spaced(tokens.slice(at, at + length)));
      at += length - 1;
    } else lines.take(token);
  }
  return lines.text;
}

/** A text in one line, for tables: what is longer ends with an ellipsis. */
export function preview(text: string, most = 120): string {
  const line = text.slice(0, most * 2).replace(/\s+/g, " ");
  return line.length > most || text.length > most * 2 ? `${line.slice(0, most)}…` : line;
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

class Lines {
  text = "";
  private depth = 0;

  take(token: string): void {
    if (isOpening(token)) {
      this.depth++;
      this.add(token);
      this.breakLine();
    } else if (token === "}" || token === "]") {
      this.depth--;
      this.breakLine();
      this.add(token);
    } else if (token === ",") {
      this.add(token);
      this.breakLine();
    } else this.add(token === ":" ? ": " : token);
  }

  add(text: string): void {
    this.text += text;
  }

  private breakLine(): void {
    this.text += `\n${INDENT.repeat(this.depth)}`;
  }
}

function tokensOf(text: string): string[] {
  return text.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g) ?? [];
}

function isOpening(token: string): boolean {
  return token === "{" || token === "[";
}

/** How many tokens an object or array takes that fits one line; 0 when it does not, or holds another object. */
function lengthOfShortGroup(tokens: string[], from: number): number {
  let length = 0;
  for (let at = from; at < tokens.length; at++) {
    const token = tokens[at] as string;
    length += token.length + 1;
    if (length > LONGEST_LINE) return 0;
    if (token === "}" || token === "]") return at - from + 1;
    if (at > from && isOpening(token) && tokens[at + 1] !== "}" && tokens[at + 1] !== "]") return 0;
    if (at > from && isOpening(token)) at++;
  }
  return 0;
}

function spaced(tokens: string[]): string {
  const isObject = tokens[0] === "{" && tokens.length > 2;
  const inner = tokens.slice(1, -1).map((token) => (token === "," || token === ":" ? `${token} ` : token));
  const space = isObject ? " " : "";
  return `${tokens[0]}${space}${inner.join("")}${space}${tokens.at(-1)}`;
}
