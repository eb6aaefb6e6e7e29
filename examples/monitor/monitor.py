"""Watches a machine until it is ready, or until a deadline.

It looks every ten seconds, or as often as somebody tells it to while it runs. When the machine
cannot be reached it looks less and less often. Each look is a generation of its own
(continue-as-new), so the history stays short however long the watch takes. The machine is a file
that says in one word what it does.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from tenuto import ActivityError, App, Context

app = App()

SHORTEST_PAUSE = timedelta(seconds=0.1)
MOST_DOUBLINGS = 6  # ten seconds become ten minutes, no more


@dataclass(frozen=True)
class Watch:
    machine: str
    every: timedelta = timedelta(seconds=10)
    patience: timedelta = timedelta(days=1)
    # From here on: what one look hands to the next.
    until: datetime | None = None
    looks: int = 0
    failures: int = 0  # in a row


@dataclass(frozen=True)
class Finding:
    is_ready: bool
    state: str
    looks: int


@app.activity
def look(machine: str) -> str:
    return Path(machine).read_text("utf-8").strip()


@app.orchestrator
async def watch_machine(ctx: Context, watch: Watch) -> Finding:
    until = watch.until or ctx.current_time + watch.patience
    try:
        state = await ctx.call_activity(look, watch.machine)
        failures = 0
    except ActivityError as error:
        state = str(error.failure)
        failures = watch.failures + 1
    watch = replace(watch, until=until, looks=watch.looks + 1, failures=failures)

    finding = Finding(state == "ready", state, watch.looks)
    left = until - ctx.current_time
    if finding.is_ready or left <= timedelta(0):
        return finding

    pause = min(watch.every * 2 ** min(failures, MOST_DOUBLINGS), left)
    ctx.set_custom_status({"state": state, "looks": watch.looks, "pause": pause})
    try:
        every = await ctx.wait_for_external_event("interval", timedelta, timeout=pause)
        watch = replace(watch, every=max(every, SHORTEST_PAUSE))
    except TimeoutError:
        pass  # nobody wants anything: time for the next look
    ctx.continue_as_new(watch)
    return finding  # nobody sees this one: another generation follows
