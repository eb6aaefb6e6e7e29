"""Reserves, charges, ships; when a step fails, what was done is undone in reverse order.

The order's number is the key under which every service knows its part, so a step that is tried
again is not done twice, and a step that never answered can be undone all the same. The books of the
services are files in ``books`` in the current folder.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Literal

from tenuto import ActivityContext, ActivityError, App, Context, DurableTask, RetryPolicy

app = App()

BOOKS = Path("books")
PRICE = 20

BRIEFLY = RetryPolicy(max_attempts=3, first_interval=timedelta(seconds=0.2), backoff=2.0)
# An undo that fails leaves money or goods behind: worth more patience than the step itself.
STUBBORNLY = RetryPolicy(max_attempts=6, first_interval=timedelta(seconds=0.2), backoff=2.0)

Undo = Callable[[], DurableTask[None]]


@dataclass(frozen=True)
class Order:
    item: str
    quantity: int
    card: str
    address: str


@dataclass(frozen=True)
class Outcome:
    status: Literal["shipped", "canceled", "needs attention"]
    reason: str = ""
    undone: list[str] = field(default_factory=list)
    not_undone: list[str] = field(default_factory=list)


# --- activities: three services, each with a way back ---------------------------------------------


@app.activity(retry=BRIEFLY)
def reserve(order_number: str, item: str, quantity: int) -> None:
    if item == "unicorn":
        raise LookupError("there are no unicorns in stock")
    _write(f"{order_number}.reservation", f"{quantity} × {item}")  # noqa: RUF001 - a product


@app.activity(retry=STUBBORNLY)
def release(order_number: str, item: str) -> None:
    if item == "anvil":
        raise RuntimeError("nobody can lift the anvil back onto its shelf")
    _strike_out(f"{order_number}.reservation")


@app.activity(retry=BRIEFLY)
def charge(order_number: str, card: str, amount: int) -> None:
    if card == "declined":
        raise PermissionError("the card was declined")
    _write(f"{order_number}.payment", f"{amount} € from {card}")
    if card == "slow":
        raise ConnectionError("the bank did not answer in time")  # but the money is gone


@app.activity(retry=STUBBORNLY)
def refund(order_number: str) -> None:
    _strike_out(f"{order_number}.payment")


@app.activity(retry=BRIEFLY)
def ship(activity: ActivityContext, order_number: str, address: str) -> None:
    if address == "nowhere":
        raise LookupError("no carrier goes nowhere")
    # A service without numbers of its own gets the key of this call.
    _write(f"{order_number}.parcel", f"{address}, request {activity.idempotency_key}")


# --- orchestrator ---------------------------------------------------------------------------------


@app.orchestrator
async def place_order(ctx: Context, order: Order) -> Outcome:
    number = ctx.instance_id
    # Each undo is noted before its step: a step that failed may have been done.
    undo: dict[str, Undo] = {}
    try:
        undo["reservation"] = partial(ctx.call_activity, release, number, order.item)
        await ctx.call_activity(reserve, number, order.item, order.quantity)
        undo["payment"] = partial(ctx.call_activity, refund, number)
        await ctx.call_activity(charge, number, order.card, order.quantity * PRICE)
        await ctx.call_activity(ship, number, order.address)
    except ActivityError as error:
        reason = error.failure.error_message
        ctx.set_custom_status(f"undoing: {reason}")
        undone, stuck = await undo_in_reverse(undo)
        return Outcome("needs attention" if stuck else "canceled", reason, undone, stuck)
    return Outcome("shipped")


async def undo_in_reverse(undo: dict[str, Undo]) -> tuple[list[str], list[str]]:
    """What is undone, and what is not and why: one that fails does not keep the others from it."""
    undone: list[str] = []
    stuck: list[str] = []
    for part, step in reversed(undo.items()):
        try:
            await step()
            undone.append(part)
        except ActivityError as error:
            stuck.append(f"{part}: {error.failure.error_message}")
    return undone, stuck


# --- the books ------------------------------------------------------------------------------------


def _write(name: str, text: str) -> None:
    BOOKS.mkdir(exist_ok=True)
    (BOOKS / name).write_text(text, encoding="utf-8")


def _strike_out(name: str) -> None:
    (BOOKS / name).unlink(missing_ok=True)
