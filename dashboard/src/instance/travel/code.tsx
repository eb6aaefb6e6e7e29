/** Where the code stood: its functions with their lines, the current one marked, and the variables there. */

import type { JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { EmptyState } from "../../parts/empty_state";
import { setQuery } from "../../router";
import type { Frame, Turn } from "../shapes";
import { changedVariables } from "./changes";
import { piecesOf } from "./python";

export function Code({ view, before }: { readonly view: Turn; readonly before: Turn | null }): JSX.Element {
  const frames = view.frames ?? null;
  if (!frames || frames.length === 0) return <NoCode view={view} />;
  const tasks = (view.tasks ?? []).filter((task) => (task.frames ?? []).length > 0);
  return (
    <div class="frames">
      <Frames
        frames={frames}
        before={before?.frames ?? null}
        isOpen={(index) => index === frames.length - 1 || frames.length <= 2}
      />
      {tasks.length > 0 && <h2>{tasks.length === 1 ? "Another task of it" : `${tasks.length} other tasks of it`}</h2>}
      {tasks.map((task, index) => (
        <Frames
          key={`${task.name} ${index}`}
          frames={task.frames ?? []}
          before={before?.tasks?.find((one) => one.name === task.name)?.frames ?? null}
          title={task.name}
          isOpen={() => false}
        />
      ))}
    </div>
  );
}

function NoCode({ view }: { readonly view: Turn }): JSX.Element {
  return (
    <EmptyState title="There is no code to show for this turn">
      <p>{view.why ?? "This host does not say why."}</p>
      {view.fitsThrough ? (
        <p>
          It fits through{" "}
          <button
            type="button"
            class="link"
            onClick={() => setQuery({ turn: String(view.fitsThrough) })}
          >{`turn ${view.fitsThrough}`}</button>
          .
        </p>
      ) : null}
    </EmptyState>
  );
}

interface FramesProps {
  readonly frames: readonly Frame[];
  /** Where it stood the turn before; null when that is not known. */
  readonly before: readonly Frame[] | null;
  readonly title?: string;
  readonly isOpen: (index: number) => boolean;
}

function Frames({ frames, before, title, isOpen }: FramesProps): JSX.Element {
  const changed = changedVariables(frames, before ?? []);
  return (
    <>
      {frames.map((frame, index) => (
        <details key={`${index} ${frame.function}`} class="frame-of" open={isOpen(index)}>
          <summary>
            <code>{frame.function}</code>
            <span class="quiet-text small-text broken-anywhere">{` ${shortFile(frame.file)}:${frame.line}${title ? ` · ${title}` : ""}`}</span>
          </summary>
          {(frame.source ?? []).length > 0 ? (
            <Source frame={frame} />
          ) : (
            <p class="note">{frame.noSource ?? "Its lines are not known."}</p>
          )}
          <Variables frame={frame} changed={before === null ? new Set() : changed[index]!} />
        </details>
      ))}
    </>
  );
}

function shortFile(file: string): string {
  return file.split("/").slice(-2).join("/");
}

function Source({ frame }: { readonly frame: Frame }): JSX.Element {
  const current = useRef<HTMLDivElement>(null);
  const box = useRef<HTMLPreElement>(null);
  useLayoutEffect(() => {
    if (!current.current || !box.current) return;
    const top = current.current.offsetTop - box.current.offsetTop;
    box.current.scrollTop = top - box.current.clientHeight / 2;
  }, [frame.line, frame.file]);
  return (
    <pre
      ref={box}
      class="source"
      tabIndex={0}
      role="group"
      aria-label={`Source of ${frame.function}, stands at line ${frame.line}`}
    >
      {(frame.source ?? []).map(({ line, text }) => {
        const isCurrent = line === frame.line;
        return (
          <div
            key={line}
            ref={isCurrent ? current : undefined}
            class={isCurrent ? "source-line current" : "source-line"}
            aria-current={isCurrent ? "step" : undefined}
          >
            <span class="source-number">
              {isCurrent ? "▶ " : ""}
              {line}
            </span>
            <span>
              {piecesOf(text).map((piece, index) =>
                piece.kind === "plain" ? (
                  piece.text
                ) : (
                  <span key={index} class={`py-${piece.kind}`}>
                    {piece.text}
                  </span>
                ),
              )}
            </span>
          </div>
        );
      })}
    </pre>
  );
}

function Variables({ frame, changed }: { readonly frame: Frame; readonly changed: ReadonlySet<string> }): JSX.Element {
  const variables = frame.variables ?? [];
  if (variables.length === 0) return <p class="quiet-text small-text">It has no variables.</p>;
  return (
    <table class="variables">
      <caption class="hidden">{`Variables of ${frame.function}`}</caption>
      <tbody>
        {variables.map((variable) => (
          <tr key={variable.name} class={changed.has(variable.name) ? "changed" : ""}>
            <th scope="row">
              <code>{variable.name}</code>
            </th>
            <td>
              <code class="broken-anywhere">{variable.value}</code>
            </td>
            <td class="quiet-text small-text">{variable.type}</td>
            <td class="small-text">{changed.has(variable.name) ? <span class="changed-sign">● changed</span> : ""}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
