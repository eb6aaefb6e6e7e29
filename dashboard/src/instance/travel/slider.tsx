/** The slider over turns: mouse, arrow keys, buttons, and playing them one after the other. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { countText } from "../../formatting";
import { Button } from "../../parts/button";
import { Time } from "../../parts/time";
import { zone } from "../../preferences";
import { inZone } from "../why/wording";
import type { Microseconds, TurnSummary } from "../shapes";
import { offsetText } from "../timeline/scale";

export interface SliderProps {
  readonly turns: readonly TurnSummary[];
  readonly at: number;
  readonly origin: Microseconds;
  readonly onTurn: (turn: number) => void;
}

/** A turn is shown for so long; of many turns each for a shorter time, and from some number on not each of them. */
const LONGEST = 900;
const SHORTEST = 200;
const ALL_OF_IT = 15_000;
const FAST_FROM = 75;

export function Slider({ turns, at, origin, onTurn }: SliderProps): JSX.Element {
  const isPlaying = useSignal(false);
  const last = turns.length;
  useEffect(() => {
    if (!isPlaying.value) return undefined;
    if (at >= last) {
      isPlaying.value = false;
      return undefined;
    }
    const step = Math.max(Math.round(last / FAST_FROM), 1);
    const timer = setTimeout(
      () => onTurn(Math.min(at + step, last)),
      Math.min(LONGEST, Math.max(SHORTEST, ALL_OF_IT / last)),
    );
    return () => clearTimeout(timer);
  }, [isPlaying.value, at, last]);
  const summary = turns[at - 1];
  const go = (turn: number): void => {
    isPlaying.value = false;
    onTurn(Math.min(Math.max(turn, 1), last));
  };
  return (
    <div class="travel-slider">
      <div class="row">
        <Controls
          at={at}
          last={last}
          isPlaying={isPlaying.value}
          onTurn={go}
          onPlay={() => play(isPlaying, at, last, onTurn)}
        />
        <p class="travel-where">
          <b>
            Turn {countText(at)} of {countText(last)}
          </b>
          {summary && (
            <span class="quiet-text">
              {" "}
              <Time at={summary.at} look="exact" /> (+{offsetText(Math.max(summary.at - origin, 0))})
            </span>
          )}
        </p>
      </div>
      <input
        type="range"
        class="travel-range"
        min="1"
        max={last}
        value={at}
        aria-label="Turn"
        aria-valuetext={`Turn ${at} of ${last}: ${(summary?.summary ?? []).join(", ")}`}
        onInput={(event) => go(Number(event.currentTarget.value))}
      />
      <p class="small-text quiet-text travel-summary">{inZone((summary?.summary ?? []).join(" · "), zone.value)}</p>
    </div>
  );
}

interface ControlsProps {
  readonly at: number;
  readonly last: number;
  readonly isPlaying: boolean;
  readonly onTurn: (turn: number) => void;
  readonly onPlay: () => void;
}

function Controls({ at, last, isPlaying, onTurn, onPlay }: ControlsProps): JSX.Element {
  const first = at === 1 ? "This is the first turn." : null;
  const end = at === last ? "This is the last turn." : null;
  return (
    <>
      <Button size="small" label="First turn" refusal={first} onClick={() => onTurn(1)}>
        «
      </Button>
      <Button size="small" label="Turn before" refusal={first} onClick={() => onTurn(at - 1)}>
        ‹
      </Button>
      <Button size="small" kind="primary" onClick={onPlay}>
        {isPlaying ? "Pause" : "Play"}
      </Button>
      <Button size="small" label="Turn after" refusal={end} onClick={() => onTurn(at + 1)}>
        ›
      </Button>
      <Button size="small" label="Last turn" refusal={end} onClick={() => onTurn(last)}>
        »
      </Button>
    </>
  );
}

function play(isPlaying: { value: boolean }, at: number, last: number, onTurn: (turn: number) => void): void {
  if (!isPlaying.value && at >= last) onTurn(1);
  isPlaying.value = !isPlaying.value;
}
