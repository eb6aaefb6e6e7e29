/** Why the instance does not go on: the sentence, the chain of causes, what to do; or how it failed. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import { now } from "../../clock";
import { countText } from "../../formatting";
import { Button } from "../../parts/button";
import { CopyButton } from "../../parts/copy_button";
import { zone } from "../../preferences";
import { instanceAddress } from "../../router";
import { statusOf } from "../../statuses";
import { FailureView } from "../failure_view";
import type { Fact, Instance } from "../shapes";
import { groupedLinks } from "./groups";
import { HoldView } from "./hold";
import { chainOf, inZone, type Link } from "./wording";

export function Why({ row }: { readonly row: Instance }): JSX.Element | null {
  if (row.hold) return <HoldView row={row} hold={row.hold} />;
  if (row.failure) return <Failed row={row} />;
  if (!row.explanation) return null;
  const { sentence, advice, commands = [], isStuck, facts = [] } = row.explanation;
  const links = chainOf(facts as readonly Fact[], now.value, zone.value);
  const grouped = links && groupedLinks(facts as readonly Fact[], now.value, zone.value);
  const story = grouped === null ? { head: inZone(sentence, zone.value), rest: [] } : storyOf(grouped);
  const all = links !== null && links.length > (grouped?.length ?? 0) ? links : story.rest;
  return (
    <section class={`why ${isStuck ? "stuck" : ""}`} aria-label="Why it does not go on">
      <p class="why-sentence broken-anywhere">
        {isStuck && <b>Stuck: </b>}
        {row.name} {story.head}
        {story.about && <AboutOther id={story.about} />}
        {story.after}
        {story.rest.length > 0 ? ":" : "."}
      </p>
      <Lines lines={story.rest} all={all} />
      {advice && <Advice text={advice} commands={commands} />}
    </section>
  );
}

interface Story {
  readonly head: string;
  /** The instance that the head is about. */
  readonly about?: string | null;
  readonly after?: string;
  readonly rest: readonly Link[];
}

const WAITS = "waits for ";

/** A sentence for what matters most, and a list of what else is to be said. */
function storyOf(links: readonly Link[]): Story {
  const [first, ...rest] = links;
  if (!first) return { head: "goes on", rest: [] };
  if (rest.length > 0 && links.every((link) => link.text.startsWith(WAITS))) {
    const count = links.reduce((sum, link) => sum + (link.count ?? 1), 0);
    return {
      head: `${WAITS}${countText(count)} things`,
      rest: links.map((link) => ({ ...link, text: link.text.slice(WAITS.length) })),
    };
  }
  return { head: first.text, about: first.instanceId, after: first.after, rest: [...first.below, ...rest] };
}

/** So many lines stand there; more only when they are asked for. */
const SHOWN = 6;

interface LinesProps {
  /** Alike ones as one. */
  readonly lines: readonly Link[];
  /** Each by itself. */
  readonly all: readonly Link[];
}

/** What else it waits for. Its place does not shrink while one looks: nothing below it jumps. */
function Lines({ lines, all }: LinesProps): JSX.Element {
  const isWhole = useSignal(false);
  const shown = isWhole.value ? all : lines.slice(0, SHOWN);
  const hasMore = all.length > Math.min(lines.length, SHOWN);
  const most = useRef(0);
  most.current = Math.max(most.current, Math.min(lines.length, SHOWN) + (hasMore ? 1 : 0));
  return (
    <div class="chain-place" style={{ minHeight: `${most.current * LINE}px` }}>
      {shown.length > 0 && (
        <div
          class={isWhole.value ? "chain-whole" : ""}
          tabIndex={isWhole.value ? 0 : -1}
          role="group"
          aria-label="What it waits for"
        >
          <Chain links={shown} />
        </div>
      )}
      {hasMore && (
        <Button size="small" kind="quiet" expanded={isWhole.value} onClick={() => (isWhole.value = !isWhole.value)}>
          {isWhole.value ? "Show fewer" : `Show all ${countText(all.length)}`}
        </Button>
      )}
    </div>
  );
}

/** Height of a line in pixels, as the style sheet has it. */
const LINE = 22;

function AboutOther({ id }: { readonly id: string }): JSX.Element {
  return (
    <>
      {" "}
      <a href={instanceAddress(id)}>{id}</a>
    </>
  );
}

function Chain({ links }: { readonly links: readonly Link[] }): JSX.Element {
  return (
    <ul class="chain">
      {links.map((link, index) => (
        <li key={index} class={link.isBad ? "bad" : ""}>
          <span class="broken-anywhere">
            {link.text}
            {link.instanceId && <AboutOther id={link.instanceId} />}
            {link.after}
          </span>
          {link.below.length > 0 && <Chain links={link.below} />}
        </li>
      ))}
    </ul>
  );
}

/** Advice is one command, or a sentence in which commands stand. */
function Advice({ text, commands }: { readonly text: string; readonly commands: readonly string[] }): JSX.Element {
  if (commands.length === 1 && commands[0] === text) return <Command text={text} />;
  return (
    <div class="advice">
      <p class="broken-anywhere">{`What to do: ${text}.`}</p>
      {commands.map((command) => (
        <Command key={command} text={command} />
      ))}
    </div>
  );
}

function Command({ text }: { readonly text: string }): JSX.Element {
  return (
    <p class="command">
      <code class="broken-anywhere">{text}</code>
      <CopyButton text={text} />
    </p>
  );
}

function Failed({ row }: { readonly row: Instance }): JSX.Element {
  return (
    <section class="why failed" aria-label="How it failed">
      <h2>{statusOf(row) === "Failed" ? "It failed" : "Failure"}</h2>
      <FailureView failure={row.failure!} />
    </section>
  );
}
