"""An expense that somebody must approve, by a link in an e-mail: no account, no login, no client.

Two links are made for each question, one that approves and one that rejects. They work once, and
as long as the question is open. Who does not answer in time is passed over: the question goes to
the next one up; after the last one the expense is turned down. E-mails are files in ``outbox`` in
the current folder.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from tenuto import ActivityContext, App, Client, Context
from tenuto.http import check_status_response

app = App()

OUTBOX = Path("outbox")


@dataclass(frozen=True)
class Expense:
    employee: str
    purpose: str
    amount: int
    approvers: tuple[str, ...] = ("manager", "director")
    patience: timedelta = timedelta(days=3)


@dataclass(frozen=True)
class Decision:
    approved: bool
    by: str


# --- activities -----------------------------------------------------------------------------------


@app.activity
def send_mail(activity: ActivityContext, to: str, text: str) -> None:
    """Stands for an SMTP server; a repeated attempt writes the same file again."""
    OUTBOX.mkdir(exist_ok=True)
    name = f"{to}-{activity.idempotency_key.replace('/', '-').replace(':', '-')}.txt"
    (OUTBOX / name).write_text(f"To: {to}\n\n{text}\n", encoding="utf-8")


# --- orchestrators --------------------------------------------------------------------------------


@app.orchestrator
async def approve_expense(ctx: Context, expense: Expense) -> Decision:
    decision = Decision(approved=False, by="nobody answered")
    for approver in expense.approvers:
        ctx.set_custom_status(f"waiting for the {approver}")
        answer = await ask(ctx, approver, expense)
        if answer is not None:
            decision = Decision(answer, approver)
            break
    verdict = "approved" if decision.approved else "turned down"
    text = f"Your expense for {expense.purpose} was {verdict} ({decision.by})."
    await ctx.call_activity(send_mail, expense.employee, text)
    return decision


async def ask(ctx: Context, approver: str, expense: Expense) -> bool | None:
    """True or False by the link that was used, None when none was in time."""
    yes, no = f"approve, {approver}", f"reject, {approver}"
    yes_link, no_link = await asyncio.gather(
        ctx.create_webhook(yes, expires_in=expense.patience),
        ctx.create_webhook(no, expires_in=expense.patience),
    )
    text = (
        f"{expense.employee} asks for {expense.amount} € for {expense.purpose}.\n\n"
        f"Approve: {yes_link}\nReject:  {no_link}"
    )
    await ctx.call_activity(send_mail, approver, text)
    approved, rejected = ctx.wait_for_external_event(yes), ctx.wait_for_external_event(no)
    try:
        async with asyncio.timeout(expense.patience.total_seconds()):
            first = await ctx.task_any([approved, rejected])
    except TimeoutError:
        return None
    return first is approved


# --- what other programs call ---------------------------------------------------------------------


@app.http("POST", "/expenses")
async def hand_in(request: Request, expense: Expense, client: Client) -> Response:
    return check_status_response(request, await client.start(approve_expense, expense))
