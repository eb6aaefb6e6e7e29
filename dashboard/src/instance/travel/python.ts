/** Lines of Python as pieces that are coloured: words of the language, texts, numbers, comments. Pure. */

export interface Piece {
  readonly text: string;
  readonly kind: "plain" | "word" | "text" | "number" | "comment";
}

const WORDS: ReadonlySet<string> = new Set(
  (
    "False None True and as assert async await break case class continue def del elif else except finally for from " +
    "global if import in is lambda match nonlocal not or pass raise return try while with yield self"
  ).split(" "),
);
const PIECE =
  /(#.*$)|((?:[rbfu]{1,2})?(?:"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?))|(\b\d[\w.]*)|([A-Za-z_]\w*)|([^\w#"']+)/gi;

export function piecesOf(line: string): Piece[] {
  const pieces: Piece[] = [];
  for (const [text, comment, quoted, number, word] of line.matchAll(PIECE)) {
    if (comment) pieces.push({ text, kind: "comment" });
    else if (quoted) pieces.push({ text, kind: "text" });
    else if (number) pieces.push({ text, kind: "number" });
    else pieces.push({ text, kind: word && WORDS.has(word) ? "word" : "plain" });
  }
  return pieces;
}
