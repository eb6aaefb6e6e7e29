/** What can be done to deliveries that were put aside: give them back, or drop them. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { post, type Result } from "../api/client";
import { refusal } from "../api/session";
import type { Redriven } from "../api/types";
import { counted } from "../formatting";
import { Button } from "../parts/button";
import { Confirmation } from "../parts/dialog";

export interface DeliveryActionsProps {
  readonly numbers: ReadonlySet<number>;
  /** With what came of giving back; null when they were dropped. */
  readonly onDone: (redriven: Redriven | null) => void;
}

export function DeliveryActions({ numbers, onDone }: DeliveryActionsProps): JSX.Element {
  const asked = useSignal<"redrive" | "drop" | null>(null);
  const none = numbers.size === 0 ? "Choose some first." : null;
  const redrive = async (): Promise<Result<unknown>> => {
    const answer = await post<Redriven>("/admin/failed-deliveries/redrive", { numbers: [...numbers] });
    if (answer.ok) onDone(answer.value);
    return answer;
  };
  const drop = async (): Promise<Result<unknown>> => {
    const answer = await post("/admin/failed-deliveries/drop", { numbers: [...numbers] });
    if (answer.ok) onDone(null);
    return answer;
  };
  const count = counted(numbers.size, "delivery", "deliveries");
  return (
    <div class="row">
      <Button
        size="small"
        kind="primary"
        refusal={refusal("operate") ?? none}
        onClick={() => (asked.value = "redrive")}
      >
        Give back
      </Button>
      <Button size="small" kind="danger" refusal={refusal("admin") ?? none} onClick={() => (asked.value = "drop")}>
        Drop
      </Button>
      {asked.value === "redrive" && (
        <Confirmation title={`Give back ${count}?`} verb="Give back" act={redrive} onClose={() => (asked.value = null)}>
          <p>Their functions get them again, with all attempts.</p>
        </Confirmation>
      )}
      {asked.value === "drop" && (
        <Confirmation title={`Drop ${count}?`} verb="Drop" isDangerous act={drop} onClose={() => (asked.value = null)}>
          <p>They are deleted for good.</p>
        </Confirmation>
      )}
    </div>
  );
}
