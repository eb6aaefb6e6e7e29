/** JSON bodies in which a part is given as text: it goes out to the letter, so that long numbers stay what they are. */

/** A JSON object as text with one more member, whose JSON is given. */
export function withJson(value: object, name: string, text: string | undefined): string {
  const head = JSON.stringify(value);
  if (text === undefined) return head;
  return `${head.slice(0, -1)}${head === "{}" ? "" : ","}${JSON.stringify(name)}:${text}}`;
}
