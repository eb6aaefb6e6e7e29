/**
 * A payload to the letter, with lines and indents. It is text nodes only: markup in it is shown, never read as HTML.
 *
 * Objects and lists can be closed. A long one shows its beginning until all of it is asked for.
 */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { bytesText, countText } from "../formatting";
import { inOrder, isJson, piecesOf, signsOf, type Branch, type Item, type Piece } from "../json_text";
import { Button } from "./button";
import { CopyButton } from "./copy_button";

/** Longer ones are shown as they came: to make them pretty would hold the page up. */
const MOST_PRETTY = 1_000_000;
const SHOWN_CHARACTERS = 8_000;
const SHOWN_ITEMS = 100;
const OPEN_LEVELS = 4;
const LONG_LEAF = 1_000;
/** So short a text stands beside the button. */
const SHORT = 30;

export interface PayloadProps {
  /** JSON as text, as instances have it, or any other text. */
  readonly text?: string | null;
  /** Or a value that was read already. */
  readonly value?: unknown;
  /** What a screen reader calls it. */
  readonly label: string;
}

export function Payload({ text, value, label }: PayloadProps): JSX.Element {
  // What is copied is what is stored; what is shown cannot pose as another text.
  const source = useMemo(() => text ?? JSON.stringify(value) ?? "null", [text, value]);
  const piece = useMemo(() => (source.length > MOST_PRETTY ? null : piecesOf(source)), [source]);
  return (
    <div class={`payload ${source.length < SHORT ? "short" : ""}`}>
      <div class="payload-tools">
        <CopyButton text={source} label={isJson(source) ? "Copy as JSON" : "Copy"} />
      </div>
      <div class="payload-text" tabIndex={0} role="group" aria-label={label}>
        {piece === null ? <Plain text={source} most={SHOWN_CHARACTERS} /> : <Value piece={piece} level={0} />}
      </div>
    </div>
  );
}

/** A text that may be too long to be shown at once. */
function Plain({ text, most }: { readonly text: string; readonly most: number }): JSX.Element {
  const isWhole = useSignal(text.length <= most);
  if (isWhole.value) return <>{inOrder(text)}</>;
  return (
    <>
      {inOrder(text.slice(0, most))}…{" "}
      <Button size="small" onClick={() => (isWhole.value = true)}>
        Show all ({bytesText(text.length)})
      </Button>
    </>
  );
}

interface ValueProps {
  readonly piece: Piece;
  readonly level: number;
}

function Value({ piece, level }: ValueProps): JSX.Element {
  if (piece.kind === "branch") {
    return piece.line !== null ? <Line branch={piece} /> : <Fold branch={piece} level={level} />;
  }
  return (
    <span class={lookOf(piece.text)}>
      <Plain text={piece.text} most={LONG_LEAF} />
    </span>
  );
}

/** Texts, numbers and words look different. */
function lookOf(text: string): string {
  if (text.startsWith('"')) return "json-text";
  return /^[-\d]/.test(text) ? "json-number" : "json-word";
}

/** A short object or list, whose values hold no others. */
function Line({ branch }: { readonly branch: Branch }): JSX.Element {
  const [begin, end] = signsOf(branch);
  const space = branch.isList || branch.items.length === 0 ? "" : " ";
  return (
    <>
      {begin}
      {space}
      {branch.items.map((item, index) => (
        <span key={index}>
          <Named item={item} level={OPEN_LEVELS} />
          {index < branch.items.length - 1 && ", "}
        </span>
      ))}
      {space}
      {end}
    </>
  );
}

function Fold({ branch, level }: { readonly branch: Branch; readonly level: number }): JSX.Element {
  const isOpen = useSignal(level < OPEN_LEVELS);
  const most = useSignal(SHOWN_ITEMS);
  const [begin, end] = signsOf(branch);
  const { items } = branch;
  return (
    <>
      <button
        type="button"
        class="json-fold"
        aria-expanded={isOpen.value}
        onClick={() => (isOpen.value = !isOpen.value)}
      >
        {begin}
        {!isOpen.value && ` ${countText(items.length)} … ${end}`}
      </button>
      {isOpen.value && (
        <>
          <div class="json-items">
            {items.slice(0, most.value).map((item, index) => (
              <div key={index}>
                <Named item={item} level={level + 1} />
                {index < items.length - 1 && ","}
              </div>
            ))}
            {items.length > most.value && (
              <Button size="small" onClick={() => (most.value += 10 * SHOWN_ITEMS)}>
                {countText(items.length - most.value)} more
              </Button>
            )}
          </div>
          {end}
        </>
      )}
    </>
  );
}

function Named({ item, level }: { readonly item: Item; readonly level: number }): JSX.Element {
  return (
    <>
      {item.name !== null && <span class="json-name">{item.name}</span>}
      {item.name !== null && ": "}
      <Value piece={item.value} level={level} />
    </>
  );
}
