/** What stands in the overview before anything was ever started: how to start something. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { get } from "../../api/client";
import { useResource } from "../../api/resource";
import { refusal } from "../../api/session";
import type { FunctionInfo, Functions } from "../../api/types";
import { prefix } from "../../api/prefix";
import { Button } from "../../parts/button";
import { CopyButton } from "../../parts/copy_button";
import { ReadError } from "../../parts/read_error";
import { ViewHead } from "../../parts/view_head";
import { StartDialog } from "../start/start_dialog";

export function FirstRun(): JSX.Element {
  const functions = useResource("functions", () => get<Functions>("/admin/functions"));
  const chosen = useSignal<string | null>(null);
  const orchestrators = functions.value.value?.orchestrators;
  return (
    <>
      <ViewHead
        title="Nothing has run here yet"
        about="Start an orchestration, and watch it move: each of its steps is kept, so that it goes on after a crash."
      />
      <ReadError of={functions} />
      <section class="card" aria-labelledby="start-head">
        <header class="card-head">
          <h2 id="start-head">Start one of this app’s orchestrators</h2>
        </header>
        {orchestrators?.length === 0 && (
          <p class="card-body quiet-text">
            This app has none. <code>@app.orchestrator</code> makes one of a function; start the host again, and it
            stands here.
          </p>
        )}
        <ul class="lines">
          {(orchestrators ?? []).map((one) => (
            <li key={one.name} class="line">
              <span class="line-text">
                <strong>{one.name}</strong>
                <span class="quiet-text">{parametersText(one)}</span>
              </span>
              <Button
                kind="primary"
                refusal={refusal("operate")}
                onClick={() => (chosen.value = one.name)}
                label={`Start ${one.name}`}
              >
                Start
              </Button>
            </li>
          ))}
        </ul>
      </section>
      {orchestrators?.[0] && <FromTerminal name={orchestrators[0].name} />}
      {chosen.value !== null && <StartDialog name={chosen.value} onClose={() => (chosen.value = null)} />}
    </>
  );
}

function FromTerminal({ name }: { readonly name: string }): JSX.Element {
  const command = `curl -X POST ${location.origin}${prefix}/runtime/webhooks/durabletask/orchestrators/${encodeURIComponent(name)} -d INPUT`;
  return (
    <section class="card" aria-labelledby="terminal-head">
      <header class="card-head">
        <h2 id="terminal-head">Or from a terminal</h2>
        <CopyButton text={command} />
      </header>
      <pre class="card-body command">{command}</pre>
    </section>
  );
}

function parametersText(one: FunctionInfo): string {
  if (one.parameters.length === 0) return "takes no input";
  return `takes ${one.parameters.map((parameter) => parameter.name + (parameter.required ? "" : " (may be left out)")).join(", ")}`;
}
