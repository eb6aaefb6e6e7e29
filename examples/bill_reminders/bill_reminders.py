"""Reminds 500 customers of a bill, waits three days, escalates the ones who have not paid.

Each bill is an instance of its own, so a payment is an event for exactly one of them. Waiting costs
nothing: kill the process, start it again three days later, and it goes on. Letters are files in
``outbox`` in the current folder.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from tenuto import ActivityContext, App, Context, RetryPolicy, schedule

app = App()

OUTBOX = Path("outbox")
PATIENTLY = RetryPolicy(max_attempts=5, first_interval=timedelta(minutes=1), backoff=2.0)


@dataclass(frozen=True)
class BillRun:
    customers: int = 500
    patience: timedelta | Literal["friday"] = timedelta(days=3)


@dataclass(frozen=True)
class Bill:
    customer: str
    amount: int


@dataclass(frozen=True)
class Payment:
    amount: int


@dataclass(frozen=True)
class Report:
    reminded: int
    paid: int
    escalated: list[str]


# --- activities: ordinary functions that talk to the world -------------------------------------


@app.activity
def read_open_bills(customers: int) -> list[Bill]:
    """Stands for a query of the books."""
    return [Bill(f"customer-{number:03}", 20 + number % 80) for number in range(1, customers + 1)]


@app.activity(retry=PATIENTLY)
def send_reminder(activity: ActivityContext, bill: Bill) -> None:
    _post(activity, f"Dear {bill.customer}, please pay {bill.amount} €.")


@app.activity(retry=PATIENTLY)
def escalate(activity: ActivityContext, bill: Bill) -> None:
    _post(activity, f"Debt collection: {bill.customer} still owes {bill.amount} €.")


def _post(activity: ActivityContext, text: str) -> None:
    # The key is the same in every attempt at this letter, also after a crash: so a letter that was
    # posted just before the power went is written over, not posted twice.
    OUTBOX.mkdir(exist_ok=True)
    name = activity.idempotency_key.replace(":", "-")
    (OUTBOX / f"{name}.txt").write_text(text, encoding="utf-8")


# --- orchestrators -----------------------------------------------------------------------------


@app.orchestrator
async def remind_all(ctx: Context, run: BillRun) -> Report:
    bills = await ctx.call_activity(read_open_bills, run.customers)
    # An id that can be told from outside: whoever books payments knows where to report them.
    ends = [
        ctx.call_sub_orchestrator(
            collect.options(instance_id=f"{ctx.instance_id}-{bill.customer}"), bill, run.patience
        )
        for bill in bills
    ]
    outcomes = Counter[bool]()
    for end in asyncio.as_completed(ends):
        outcomes[await end] += 1
        ctx.set_custom_status({"paid": outcomes[True], "escalated": outcomes[False]})
    unpaid = [bill.customer for bill, end in zip(bills, ends, strict=True) if not end.result()]
    return Report(len(bills), outcomes[True], unpaid)


@app.orchestrator
async def collect(ctx: Context, bill: Bill, patience: timedelta | Literal["friday"]) -> bool:
    """Whether the bill was paid in time."""
    await ctx.call_activity(send_reminder, bill)
    if patience == "friday":
        friday = schedule.next_weekday("fri", "17:00", tz="Europe/Berlin", after=ctx.current_time)
        patience = friday - ctx.current_time
    owed = bill.amount
    try:
        async with asyncio.timeout(patience.total_seconds()):
            while owed > 0:  # some pay in parts
                payment = await ctx.wait_for_external_event("paid", Payment)
                owed -= payment.amount
    except TimeoutError:
        await ctx.call_activity(escalate, Bill(bill.customer, owed))
        return False
    return True
