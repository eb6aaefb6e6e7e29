"""The life of a box at the edge, linked to a hub: provisioned, updated, offline for days, retired.

The box and the hub are two apps on two machines. The box dials; all that it starts at the hub, or
tells it, waits in its own store until the hub has it. So the code of the box knows no retries and
no outbox: a link is that.
"""

from dataclasses import dataclass, replace
from datetime import timedelta

from tenuto import App, Context

fleet = App()
box = App()


# --- at the hub -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kept:
    """The readings of one box, in the order in which they were taken."""

    numbers: list[int]


@fleet.orchestrator
async def provision(ctx: Context, name: str) -> str:
    ctx.start_orchestrator(keep.options(instance_id=f"{name}-readings"), Kept([]))
    return f"certificate of {name}"


@fleet.orchestrator
async def keep(ctx: Context, kept: Kept) -> Kept:
    number = await ctx.wait_for_external_event("reading", int)
    if number < 0:  # the last one
        return kept
    ctx.continue_as_new(Kept([*kept.numbers, number]))
    return kept


@fleet.orchestrator
async def approve_update(ctx: Context, version: str) -> bool:
    ctx.set_custom_status(f"may {version} be installed?")
    return await ctx.wait_for_external_event("decided", bool)


@fleet.orchestrator
async def decommission(ctx: Context, name: str) -> None:
    ctx.send_event(f"{name}/life", "decommission")


# --- on the box -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Box:
    name: str
    every: timedelta = timedelta(hours=1)
    version: str = "1.0"
    offered: str | None = None  # an update, until it is decided
    certificate: str | None = None
    readings: int = 0


@dataclass(frozen=True)
class Life:
    readings: int
    version: str


@box.orchestrator
async def live(ctx: Context, state: Box) -> Life:
    if state.certificate is None:
        certificate = await ctx.call_sub_orchestrator("provision", state.name, on="hub")
        state = replace(state, certificate=str(certificate))
        ctx.start_orchestrator(update.options(instance_id="update"), state.offered or "1.0")

    readings = f"hub/{state.name}-readings"
    ctx.send_event(readings, "reading", state.readings)
    state = replace(state, readings=state.readings + 1)
    try:
        await ctx.wait_for_external_event("decommission", timeout=state.every)
    except TimeoutError:
        ctx.continue_as_new(state)
        return Life(state.readings, state.version)
    ctx.send_event(readings, "reading", -1)
    return Life(state.readings, state.version)


@box.orchestrator
async def update(ctx: Context, version: str) -> str:
    """Over the air: the box asks, a person at the hub decides, however long the line is dead."""
    ask = f"{version}-approval"
    if not await ctx.call_sub_orchestrator("approve_update", version, instance_id=ask, on="hub"):
        return "kept the old one"
    return await ctx.call_activity(install, version)


@box.activity
def install(version: str) -> str:
    return f"installed {version}"
