"""Orchestrators that wait for each kind of thing, and deployments that do not fit them."""

import contextlib
from datetime import timedelta

from tenuto import App, Context, PayloadError, RetryPolicy
from tests.support.deployments import Deployments

HOUR = timedelta(hours=1)
RAN: list[str] = []
"""The activities that ran, by instance."""


class Version:
    """What a version of the code does; every attribute is a way not to fit."""

    def __init__(
        self,
        *,
        first: str = "one",
        kind: type = int,
        input_kind: type = int,
        event_kind: type = int,
        without: tuple[str, ...] = (),
    ) -> None:
        self.first = first
        self.kind = kind
        self.input_kind = input_kind
        self.event_kind = event_kind
        self.without = without


def one(number: int) -> int:
    RAN.append("one")
    return number


def two(number: int) -> int:
    RAN.append("two")
    return number


def broken(number: int) -> int:
    RAN.append("broken")
    raise ValueError("not yet")


def app_of(version: Version) -> App:
    """Orchestrators that wait for each kind of thing."""
    app = App()
    input_kind, event_kind, first = version.input_kind, version.event_kind, version.first

    def typed(number: int) -> version.kind:  # type: ignore[name-defined]  # it differs
        return {"n": one(number)} if version.kind is dict else one(number)

    async def events(ctx: Context, number: input_kind) -> list[int]:  # type: ignore[valid-type]
        await ctx.call_activity(first, number)
        return [await ctx.wait_for_external_event("go", event_kind) for _ in range(3)]

    async def timer(ctx: Context, number: input_kind) -> None:  # type: ignore[valid-type]
        await ctx.call_activity(first, number)
        await ctx.create_timer(HOUR)

    async def rounds(ctx: Context, number: input_kind) -> None:  # type: ignore[valid-type]
        await ctx.wait_for_external_event("go", event_kind)
        await ctx.call_activity(first, number)
        ctx.continue_as_new(number)

    async def retries(ctx: Context, number: int) -> None:
        policy = RetryPolicy(max_attempts=5, first_interval=HOUR)
        await ctx.call_activity(failing.options(retry=policy), number)

    below = app.orchestrator(name="events_below")(events).options(instance_id="child")

    async def parent(ctx: Context, number: int) -> None:
        await ctx.call_sub_orchestrator(below, number)

    for name, activity in (("one", typed), ("two", two), ("broken", broken)):
        if name not in version.without:
            app.activity(name=name)(activity)
    # One that is called, and registered elsewhere.
    failing = app.find_activity("broken") or App().activity(broken)
    for orchestrator in (events, timer, parent, rounds, retries):
        if orchestrator.__name__ not in version.without:
            app.orchestrator(orchestrator)
    return app


GOOD = Version()
ALL = {"events", "timer", "parent", "rounds", "retries", "later", "paused", "rounds-2", "child"}


async def begin(one: Deployments) -> None:
    """Instances in every kind of wait."""
    client = one.test.client
    for name in ("events", "timer", "parent", "rounds", "retries"):
        await client.start(name, 1, instance_id=name)
    await client.start("rounds", 1, instance_id="rounds-2")
    await client.start("timer", 1, instance_id="later", start_at=one.test.clock.current_time + HOUR)
    await client.start("events", 1, instance_id="paused")
    await one.test.idle()
    await client.raise_event("rounds-2", "go", 5)
    await client.raise_event("rounds-2", "other", 6)
    await client.suspend("paused", "a pause")
    await client.raise_event("paused", "go", 7)
    await one.test.idle()


async def poke(one: Deployments) -> None:
    """Whatever an instance waits for comes."""
    client = one.test.client
    await one.test.advance(3 * HOUR)
    for name in sorted(ALL - {"later"}):
        status = await client.get_status(name)
        if status is not None and not status.runtime_status.is_finished:
            with contextlib.suppress(PayloadError):  # the door knows what the code asks for
                await client.raise_event(name, "go", 1)
    if not (await one.row("paused")).status.is_finished:
        await client.resume("paused")
    await one.test.idle()
    await one.test.advance(3 * HOUR)


async def held(one: Deployments) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in ALL:
        hold = await one.hold(name)
        if hold is not None:
            found[name] = str(hold.reason)
    return found


BAD = {
    "other decisions": (
        Version(first="two"),
        dict.fromkeys(("events", "timer", "paused", "child"), "decisions"),
    ),
    "a result's type": (
        Version(kind=dict),
        dict.fromkeys(("events", "timer", "paused", "child"), "payload"),
    ),
    "an input's type": (
        Version(input_kind=dict),
        dict.fromkeys(
            ("events", "timer", "paused", "child", "rounds", "rounds-2", "later"), "payload"
        )
        | {"parent": "decisions"},
    ),
    "an event's type": (Version(event_kind=dict), {}),
    "no orchestrator": (
        Version(without=("events", "timer")),
        dict.fromkeys(("events", "timer", "paused", "later"), "not_served"),
    ),
    "no activity for the next attempt": (Version(without=("broken",)), {"retries": "not_served"}),
}
