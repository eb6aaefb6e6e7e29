"""An expense that somebody must approve, by a link in an e-mail: no account, no login, no client.

The link leads to a page with two buttons and a line for a reason. Who does not answer in time is
passed over: the question goes to the next one up; after the last one the expense is turned down.
E-mails are files in ``outbox`` in the current folder.
"""

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
class Answer:
    """What the page asks for."""

    approved: bool
    reason: str = ""


@dataclass(frozen=True)
class Decision:
    approved: bool
    by: str
    reason: str = ""


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
            decision = Decision(answer.approved, approver, answer.reason)
            break
    verdict = "approved" if decision.approved else "turned down"
    why = f": {decision.reason}" if decision.reason else "."
    text = f"Your expense for {expense.purpose} was {verdict} ({decision.by}){why}"
    await ctx.call_activity(send_mail, expense.employee, text)
    return decision


async def ask(ctx: Context, approver: str, expense: Expense) -> Answer | None:
    """What the approver says, None when that was not in time."""
    question = ctx.ask(
        f"Approve {expense.amount} € for {expense.purpose}?",
        Answer,
        text=f"{expense.employee} asks for it.",
        timeout=expense.patience,
    )
    text = (
        f"{expense.employee} asks for {expense.amount} € for {expense.purpose}.\n\n"
        f"Please decide: {await question.url}"
    )
    await ctx.call_activity(send_mail, approver, text)
    try:
        return await question
    except TimeoutError:
        return None


# --- what other programs call ---------------------------------------------------------------------


@app.http("POST", "/expenses")
async def hand_in(request: Request, expense: Expense, client: Client) -> Response:
    return check_status_response(request, await client.start(approve_expense, expense))
