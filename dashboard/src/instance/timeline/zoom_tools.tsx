/** Buttons for the part of the time that is shown. */
import type { JSX } from "preact";
import { Button } from "../../parts/button";
import { panned, WHOLE, zoomed, type View } from "./scale";

export interface ZoomToolsProps {
  readonly view: View;
  readonly onView: (view: View) => void;
  readonly isSkipping: boolean;
  readonly canSkip: boolean;
  readonly onSkipping: (isSkipping: boolean) => void;
}

export function ZoomTools({ view, onView, isSkipping, canSkip, onSkipping }: ZoomToolsProps): JSX.Element {
  const isWhole = view.end - view.start > 0.9999;
  const nothing = isWhole ? "All of it is shown." : null;
  return (
    <div class="row tl-zoom" role="group" aria-label="Zoom of the timeline">
      <Button
        size="small"
        label="Zoom in"
        title="Zoom in (+, or Ctrl and the wheel)"
        onClick={() => onView(zoomed(view, 0.6))}
      >
        +
      </Button>
      <Button
        size="small"
        label="Zoom out"
        title="Zoom out (-)"
        refusal={nothing}
        onClick={() => onView(zoomed(view, 1.7))}
      >
        −
      </Button>
      {!isWhole && (
        <>
          <Button
            size="small"
            label="Earlier"
            title="Earlier (Shift and arrow left)"
            onClick={() => onView(panned(view, -0.3))}
          >
            ‹
          </Button>
          <Button
            size="small"
            label="Later"
            title="Later (Shift and arrow right)"
            onClick={() => onView(panned(view, 0.3))}
          >
            ›
          </Button>
          <Button size="small" title="Show all (0)" onClick={() => onView(WHOLE)}>
            All
          </Button>
        </>
      )}
      {canSkip && (
        <Button
          size="small"
          pressed={isSkipping}
          title="Draw long stretches short in which nothing begins or ends"
          onClick={() => onSkipping(!isSkipping)}
        >
          Skip long stretches
        </Button>
      )}
    </div>
  );
}
