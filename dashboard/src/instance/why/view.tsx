/** Why the instance does not go on: the sentence, the chain of causes, what to do; or how it failed. */

import type { JSX } from "preact";
import { now } from "../../clock";
import { CopyButton } from "../../parts/copy_button";
import { zone } from "../../preferences";
import { instanceAddress } from "../../router";
import { statusOf } from "../../statuses";
import { FailureView } from "../failure_view";
import type { Live } from "../live";
import type { Fact, Instance } from "../shapes";
import { HoldView } from "./hold";
import { chainOf, inZone, type Link } from "./wording";

export function Why({ live, row }: { readonly live: Live; readonly row: Instance }): JSX.Element | null {
  if (row.hold) return <HoldView live={live} row={row} hold={row.hold} />;
  if (row.failure) return <Failed row={row} />;
  if (!row.explanation) return null;
  const { sentence, advice, isStuck, facts = [] } = row.explanation;
  const links = chainOf(facts as readonly Fact[], now.value, zone.value);
  const hasMore = links.length > 1 || links.some((link) => link.below.length > 0 || link.instanceId);
  return (
    <section class={`why ${isStuck ? "stuck" : ""}`} aria-label="Why it does not go on">
      <p class="why-sentence broken-anywhere">
        <b>{isStuck ? "Stuck: " : ""}</b>
        {row.name} {links.length === 1 && links[0]!.below.length === 0 ? links[0]!.text : inZone(shortSentence(sentence, links), zone.value)}
        {hasMore && links.length > 1 ? ":" : "."}
      </p>
      {hasMore && <Chain links={withoutWaits(links)} />}
      {advice && <Advice text={advice} />}
    </section>
  );
}

const WAITS = "waits for ";

/** With several facts the list below says the details. */
function shortSentence(sentence: string, links: readonly Link[]): string {
  if (links.length <= 1) return sentence;
  const waits = links.filter((link) => link.text.startsWith(WAITS));
  return waits.length === links.length ? `waits for ${links.length} things` : sentence;
}

/** What the sentence above them says already. */
function withoutWaits(links: readonly Link[]): readonly Link[] {
  const isSaid = links.length > 1 && links.every((link) => link.text.startsWith(WAITS));
  return isSaid ? links.map((link) => ({ ...link, text: link.text.slice(WAITS.length) })) : links;
}

function Chain({ links }: { readonly links: readonly Link[] }): JSX.Element {
  return (
    <ul class="chain">
      {links.map((link, index) => (
        <li key={index} class={link.isBad ? "bad" : ""}>
          <span class="broken-anywhere">
            {link.text}
            {link.instanceId && (
              <>
                {" "}
                <a href={instanceAddress(link.instanceId)}>{link.instanceId}</a>
              </>
            )}
          </span>
          {link.below.length > 0 && <Chain links={link.below} />}
        </li>
      ))}
    </ul>
  );
}

/** Lines that begin with `tenuto` are commands. */
function Advice({ text }: { readonly text: string }): JSX.Element {
  return (
    <div class="advice">
      {text.split("\n").map((line) =>
        line.trimStart().startsWith("tenuto ") ? (
          <p key={line} class="command">
            <code class="broken-anywhere">{line.trim()}</code>
            <CopyButton text={line.trim()} />
          </p>
        ) : (
          <p key={line}>{line}</p>
        ),
      )}
    </div>
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
