/** A button. One that cannot be pressed says why: it stays reachable by keyboard and tells its reason. */

import type { ComponentChildren, JSX } from "preact";

export interface ButtonProps {
  readonly children: ComponentChildren;
  readonly onClick?: () => void;
  readonly kind?: "plain" | "primary" | "danger" | "quiet";
  readonly size?: "small" | "normal";
  readonly type?: "button" | "submit";
  /** Why it cannot be pressed now; null when it can. */
  readonly refusal?: string | null;
  readonly isBusy?: boolean;
  readonly label?: string;
  readonly title?: string;
  readonly expanded?: boolean;
  readonly pressed?: boolean;
}

export function Button(props: ButtonProps): JSX.Element {
  const { kind = "plain", size = "normal", refusal = null, isBusy = false } = props;
  const isOff = refusal !== null || isBusy;
  return (
    <button
      type={props.type ?? "button"}
      class={`button ${kind} ${size}`}
      aria-disabled={isOff}
      aria-busy={isBusy}
      aria-label={props.label}
      aria-expanded={props.expanded}
      aria-pressed={props.pressed}
      title={refusal ?? props.title}
      onClick={(event) => {
        if (isOff) event.preventDefault();
        else props.onClick?.();
      }}
    >
      {props.children}
    </button>
  );
}
