"""A shop whose instances are in every state that a page can show."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

from tenuto import (
    App,
    Client,
    Context,
    Event,
    OrchestrationFailedError,
    OrchestrationHandle,
    RetryPolicy,
)
from tests.support.http_server import Serving, serving
from tests.support.waiting import until_given

HOUR = timedelta(hours=1)
_SOON = RetryPolicy(max_attempts=3, first_interval=timedelta(milliseconds=250))
_ONCE = RetryPolicy(max_attempts=1)


@dataclass
class Order:
    customer: str
    article: str
    count: int = 1


@dataclass
class Payment:
    amount: int
    way: Literal["card", "cash"]


@dataclass
class Decision:
    approved: bool
    comment: str = ""


def shop(*, checks_first: bool = False) -> App:
    """The app.

    Args:
        checks_first: Whether invoices are checked before they are written: no deployment for those
            that are under way.
    """
    app = App()
    attempts: dict[str, int] = {}
    log = logging.getLogger("shop.warehouse")

    @app.activity
    async def reserve(order: Order) -> str:
        log.info("%d of %r for %s", order.count, order.article, order.customer)
        await asyncio.sleep(0.12)
        return f"shelf {len(order.article)}"

    @app.activity(retry=_SOON)
    async def charge(customer: str) -> str:
        attempts[customer] = attempts.get(customer, 0) + 1
        if customer == "Eve":
            raise ValueError("the card of Eve was refused")
        if attempts[customer] < 3:
            log.warning("the bank of %s is busy", customer)
            raise ConnectionError("the bank is busy, come back later")
        return f"receipt for {customer}"

    @app.orchestrator
    async def delivery(ctx: Context, shelf: str) -> str:
        ctx.set_custom_status({"on its way from": shelf})
        return await ctx.wait_for_external_event("Delivered", str)

    @app.orchestrator
    async def order(ctx: Context, order: Order) -> str:
        ctx.logger.info("an order of %s", order.customer)
        shelf = await ctx.call_activity(reserve, order)
        receipt = await ctx.call_activity(charge, order.customer)
        await ctx.publish("orders", {"customer": order.customer, "receipt": receipt})
        parcel = ctx.call_sub_orchestrator(delivery, shelf)
        payment = await ctx.wait_for_external_event("Paid", Payment, timeout=timedelta(days=3))
        await parcel
        return f"{receipt}: {payment.amount} by {payment.way}"

    _add_office(app, checks_first=checks_first)
    _add_triggered(app)
    return app


def _add_office(app: App, *, checks_first: bool) -> None:
    @app.activity
    async def write(number: int) -> str:
        return f"invoice {number}"

    @app.activity
    async def check(number: int) -> bool:
        return number > 0

    @app.orchestrator
    async def refund(ctx: Context, amount: int) -> str:
        ctx.send_event("accounts-2026", "RefundAsked", amount)
        decision = await ctx.ask(f"Give back {amount} €?", Decision, timeout=timedelta(days=7))
        return "given back" if decision.approved else "kept"

    @app.orchestrator
    async def invoice(ctx: Context, number: int) -> str:
        await ctx.call_activity(check if checks_first else write, number)
        return await ctx.wait_for_external_event("Signed", str)


def _add_triggered(app: App) -> None:
    @app.queue("mails", retry=_ONCE)
    async def send_mail(address: str) -> None:
        raise ValueError(f"{address!r} is no address")

    @app.subscribe("orders")
    async def count_orders(event: Event) -> None:
        pass

    @app.timer("0 0 3 * * *")
    async def tidy_up() -> None:
        pass

    @app.http("GET", "/stock", auth="anonymous")
    async def stock() -> dict[str, int]:
        return {"books": 7}


async def fill(client: Client) -> None:
    """Instances in every state, and what went wrong with messages."""
    for customer, instance_id in (
        ("Grace", "order-1041"),
        ("Eve", "order-1040"),
        ("Ada", "order-1042"),
    ):
        await client.start("order", Order(customer, "a book"), instance_id=instance_id)
    for number in (1, 2, 3):
        await client.start("delivery", f"shelf {number}", instance_id=f"delivery-{number}")
    await client.start("refund", 120, instance_id="refund-7")
    await client.suspend("delivery-1", "a holiday")
    await client.terminate("delivery-2", "ordered twice")
    await client.raise_event("delivery-3", "Delivered", "at the door")
    await client.enqueue("mails", "nowhere", message_id="mail-1")
    await client.enqueue("mails", "later@example.org", message_id="mail-2", delay=HOUR)
    with suppress(OrchestrationFailedError):
        await client.handle("order-1040").result()
    await client.raise_event("order-1041", "Paid", Payment(12, "card"))
    child = await until_given(lambda: _child(client, "order-1041"))
    await client.raise_event(child, "Delivered", "to a neighbour")
    await client.handle("order-1041").result()
    await until_given(lambda: _child(client, "order-1042"))
    await until_given(lambda: _is_told(client))


@asynccontextmanager
async def serving_shop(folder: Path, **http: Any) -> AsyncIterator[Serving]:
    """A server of a full shop, whose code has changed under two invoices.

    Args:
        folder: Where its store stands.
        **http: Settings of the server.
    """
    storage = f"sqlite:///{folder / 'shop.db'}"
    async with serving(shop(), storage=storage) as before:
        client = before.server.host.client
        for number in (11, 12):
            handle = await client.start("invoice", number, instance_id=f"invoice-{number}")
            await until_given(partial(_waits, handle))
    async with serving(shop(checks_first=True), storage=storage, **http) as running:
        client = running.server.host.client
        for number in (11, 12):
            await client.raise_event(f"invoice-{number}", "Signed", "Grace")
            await until_given(partial(is_held, client, f"invoice-{number}"))
        await fill(client)
        yield running


async def is_held(client: Client, instance_id: str) -> bool:
    status = await client.get_status(instance_id)
    return status is not None and status.hold is not None


async def _waits(handle: OrchestrationHandle[Any]) -> bool:
    """Whether its activity has been recorded."""
    return len(await handle._client.history(handle.instance_id)) >= 5


async def _child(client: Client, parent: str) -> str:
    found = [one async for one in client.query() if one.parent_instance_id == parent]
    return found[0].instance_id if found else ""


async def _is_told(client: Client) -> bool:
    return bool(await client.gateway.failed_deliveries())
