/**
 * A payload, pretty-printed. It is text nodes only: whatever markup it holds is shown, never read as HTML.
 *
 * Objects and lists can be closed. A long one shows its beginning until all of it is asked for.
 */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { bytesText } from "../formatting";
import { CopyButton } from "./copy_button";

const SHOWN_CHARACTERS = 20_000;
const SHOWN_ITEMS = 100;
const OPEN_LEVELS = 3;
const LONG_TEXT = 600;

export interface PayloadProps {
  /** JSON as text, as instances have it. */
  readonly text?: string | null;
  /** Or a value that was read already. */
  readonly value?: unknown;
  /** What a screen reader calls it. */
  readonly label: string;
}

export function Payload({ text, value, label }: PayloadProps): JSX.Element {
  const isWhole = useSignal(false);
  const source = text ?? JSON.stringify(value, null, 2) ?? "";
  if (text == null && value === undefined) return <p class="quiet-text payload-none">nothing</p>;
  const isLong = source.length > SHOWN_CHARACTERS;
  const read = isLong && !isWhole.value ? null : parsedJson(text, value);
  return (
    <div class="payload" role="group" aria-label={label}>
      <div class="payload-tools">
        <CopyButton text={() => prettyText(text, value)} />
      </div>
      <div class="payload-text" tabIndex={0}>
        {read === null ? (
          source.slice(0, isWhole.value ? undefined : SHOWN_CHARACTERS)
        ) : (
          <Value value={read.value} level={0} />
        )}
      </div>
      {isLong && !isWhole.value && (
        <button type="button" class="button plain small" onClick={() => (isWhole.value = true)}>
          Show all ({bytesText(source.length)})
        </button>
      )}
    </div>
  );
}

function parsedJson(text: string | null | undefined, value: unknown): { readonly value: unknown } | null {
  if (text == null) return { value };
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    // Not JSON after all: it is shown to the letter.
    return null;
  }
}

/** The same as text with line breaks, for the clipboard. */
export function prettyText(text: string | null | undefined, value: unknown): string {
  const read = parsedJson(text, value);
  return read === null ? (text ?? "") : (JSON.stringify(read.value, null, 2) ?? "");
}

interface ValueProps {
  readonly value: unknown;
  readonly level: number;
}

function Value({ value, level }: ValueProps): JSX.Element {
  if (value === null) return <span class="json-word">null</span>;
  if (typeof value === "string") return <Text text={value} />;
  if (typeof value === "object") return <Branch value={value} level={level} />;
  return <span class={typeof value === "number" ? "json-number" : "json-word"}>{String(value)}</span>;
}

function Text({ text }: { readonly text: string }): JSX.Element {
  const isWhole = useSignal(text.length <= LONG_TEXT);
  const shown = isWhole.value ? text : text.slice(0, LONG_TEXT);
  return (
    <span class="json-text">
      {JSON.stringify(shown).slice(0, isWhole.value ? undefined : -1)}
      {!isWhole.value && (
        <button type="button" class="json-more" onClick={() => (isWhole.value = true)}>
          … {bytesText(text.length)}
        </button>
      )}
    </span>
  );
}

function Branch({ value, level }: { readonly value: object; readonly level: number }): JSX.Element {
  const isList = Array.isArray(value);
  const entries = Object.entries(value);
  const isOpen = useSignal(level < OPEN_LEVELS);
  const most = useSignal(SHOWN_ITEMS);
  const [begin, end] = isList ? ["[", "]"] : ["{", "}"];
  if (entries.length === 0) return <span class="json-sign">{begin + end}</span>;
  return (
    <>
      <button
        type="button"
        class="json-fold"
        aria-expanded={isOpen.value}
        onClick={() => (isOpen.value = !isOpen.value)}
      >
        {begin}
        {!isOpen.value && <span class="json-more">{`${entries.length}…`}</span>}
        {!isOpen.value && end}
      </button>
      {isOpen.value && (
        <>
          <div class="json-items">
            {entries.slice(0, most.value).map(([name, item]) => (
              <div key={name} class="json-item">
                {!isList && <span class="json-name">{JSON.stringify(name)}: </span>}
                <Value value={item} level={level + 1} />
              </div>
            ))}
            {entries.length > most.value && (
              <button type="button" class="json-more" onClick={() => (most.value += 10 * SHOWN_ITEMS)}>
                … {entries.length - most.value} more
              </button>
            )}
          </div>
          <span class="json-sign">{end}</span>
        </>
      )}
    </>
  );
}
