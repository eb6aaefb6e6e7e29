"""Orchestrators that wait to be steered by somebody, and how to see where they stand."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Literal

from tenuto import App, Client, Context, InstanceStatus, RuntimeStatus
from tests.support.waiting import until_given


@dataclass
class Trip:
    city: str
    nights: int
    leaves: date | None = None
    is_flexible: bool = False


@dataclass
class Payment:
    amount: int
    way: Literal["card", "cash"]
    note: str = ""


def steered_app() -> App:
    app = App()

    @app.orchestrator
    async def book(ctx: Context, trip: Trip) -> str:
        payment = await ctx.wait_for_external_event("Paid", Payment)
        return f"{trip.city}: {payment.amount} by {payment.way}"

    @app.orchestrator
    async def number(ctx: Context, value: int) -> int:
        return value

    @app.orchestrator
    async def wait(ctx: Context) -> str:
        return str(await ctx.wait_for_external_event("Go"))

    @app.orchestrator
    async def call(ctx: Context) -> str:
        return await ctx.call_sub_orchestrator(wait)

    @app.orchestrator
    async def choose(ctx: Context) -> str:
        return await ctx.ask("Train or car?", choices=["train", "car"])

    @app.orchestrator
    async def inquire(ctx: Context) -> str:
        payment = await ctx.ask("What was paid?", Payment)
        return f"{payment.amount} by {payment.way}"

    return app


async def begun(client: Client, name: str, *given: object, instance_id: str) -> None:
    """Start one, and wait until it has done what it does before it waits."""
    handle = await client.start(name, *given, instance_id=instance_id)
    await handle.started()


async def standing(
    client: Client, instance_id: str, fits: Callable[[InstanceStatus], object]
) -> InstanceStatus:
    """How it stands, once that is as asked for."""

    async def look() -> InstanceStatus | None:
        status = await client.get_status(instance_id)
        return status if status is not None and fits(status) else None

    found = await until_given(look)
    assert found is not None
    return found


async def ends(client: Client, instance_id: str) -> InstanceStatus:
    """How it stands once it has ended."""
    return await standing(client, instance_id, lambda one: one.runtime_status.is_finished)


async def becomes(client: Client, instance_id: str, wanted: RuntimeStatus) -> InstanceStatus:
    return await standing(client, instance_id, lambda one: one.runtime_status is wanted)
