/** A payload to the letter, with lines and indents; a long one is cut until all of it is asked for. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { bytesText } from "../formatting";
import { Button } from "../parts/button";
import { CopyButton } from "../parts/copy_button";
import { isJson, pretty } from "./payload";

const SHOWN = 8_000;
/** So short a text stands beside the button. */
const SHORT = 30;
/** Longer ones are not made pretty: that would hold the page up. */
const MOST_PRETTY = 1_000_000;

export function PayloadText({ text, label }: { readonly text: string; readonly label: string }): JSX.Element {
  const isWhole = useSignal(false);
  const shown = useMemo(() => (text.length <= MOST_PRETTY ? pretty(text) : text), [text]);
  const isCut = !isWhole.value && shown.length > SHOWN;
  return (
    <div class={`payload ${shown.length < SHORT && !shown.includes("\n") ? "short" : ""}`}>
      <div class="payload-tools">
        <CopyButton text={text} label={isJson(text) ? "Copy as JSON" : "Copy"} />
      </div>
      <pre class="payload-text" tabIndex={0} aria-label={label} role="group">
        {coloured(isCut ? shown.slice(0, SHOWN) : shown)}
        {isCut && "…"}
      </pre>
      {isCut && (
        <Button size="small" onClick={() => (isWhole.value = true)}>
          {`Show all (${bytesText(text.length)})`}
        </Button>
      )}
    </div>
  );
}

const PIECE = /("(?:[^"\\]|\\.)*"?)(\s*:)?|(-?\d[\d.eE+-]*)|(true|false|null)/g;
const MOST_COLOURED = 40_000;

/** Text nodes and spans, never markup: names, texts, numbers and words look different. */
function coloured(text: string): (string | JSX.Element)[] {
  if (text.length > MOST_COLOURED) return [text];
  const pieces: (string | JSX.Element)[] = [];
  let from = 0;
  for (const match of text.matchAll(PIECE)) {
    const [whole, quoted, colon, number, word] = match;
    if (match.index > from) pieces.push(text.slice(from, match.index));
    if (quoted) pieces.push(<span class={colon ? "json-name" : "json-text"}>{quoted}</span>, colon ?? "");
    else if (number) pieces.push(<span class="json-number">{number}</span>);
    else if (word) pieces.push(<span class="json-word">{word}</span>);
    from = match.index + whole.length;
  }
  pieces.push(text.slice(from));
  return pieces;
}
