"""Sends a newsletter to everybody on a list, ten at a time, and reports who was not reached.

Fan-out: one activity for each address, all asked for at once; the host runs at most ten of them at
the same time. Fan-in: one report. Letters that went out are files in ``sent`` in the current
folder.
"""

import asyncio
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from tenuto import ActivityContext, ActivityError, App, Context, FailureDetails, RetryPolicy

app = App()

SENT = Path("sent")


@dataclass(frozen=True)
class Newsletter:
    subject: str
    recipients: str  # a file with one address a line


@dataclass(frozen=True)
class Unreachable:
    address: str
    reason: str


@dataclass(frozen=True)
class Report:
    sent: int
    unreachable: list[Unreachable]


class AddressUnknownError(Exception):
    """Nobody lives there; trying again does not help."""


class MailServerBusyError(Exception):
    """The server of the recipient takes no mail just now."""


def is_worth_another_try(failure: FailureDetails) -> bool:
    return not failure.is_caused_by(AddressUnknownError)


PATIENTLY = RetryPolicy(
    max_attempts=4,
    first_interval=timedelta(seconds=1),
    backoff=2.0,
    retry_if=is_worth_another_try,
)


# --- activities ----------------------------------------------------------------------------------


@app.activity
def read_recipients(file: str) -> list[str]:
    lines = Path(file).read_text("utf-8").splitlines()
    return [line.strip() for line in lines if line.strip()]


@app.activity(retry=PATIENTLY, max_concurrent=10, timeout=timedelta(seconds=30))
def send_mail(activity: ActivityContext, address: str, subject: str) -> None:
    deliver(address, attempt=activity.attempt)
    # Named by the key: what was sent just before a crash is sent once more, but kept only once. A
    # mail service that takes idempotency keys does the same.
    SENT.mkdir(exist_ok=True)
    name = activity.idempotency_key.replace(":", "-")
    (SENT / f"{name}.txt").write_text(f"To: {address}\nSubject: {subject}\n", encoding="utf-8")


def deliver(address: str, attempt: int) -> None:
    """Stands for the mail servers of the world; each has its ways."""
    time.sleep(0.02)
    domain = address.rpartition("@")[2]
    if domain == "gone.example":
        raise AddressUnknownError(f"no such address: {address}")
    if domain == "down.example" or (domain == "busy.example" and attempt <= 2):  # noqa: PLR2004
        raise MailServerBusyError(f"{domain} takes no mail just now")


# --- orchestrator --------------------------------------------------------------------------------


@app.orchestrator
async def send_newsletter(ctx: Context, newsletter: Newsletter) -> Report:
    addresses = await ctx.call_activity(read_recipients, newsletter.recipients)
    addresses = list(dict.fromkeys(addresses))  # once each, whatever the list says
    outcomes = await asyncio.gather(
        *(ctx.call_activity(send_mail, address, newsletter.subject) for address in addresses),
        return_exceptions=True,
    )
    unreachable = [
        Unreachable(address, str(outcome.failure))
        for address, outcome in zip(addresses, outcomes, strict=True)
        if isinstance(outcome, ActivityError)
    ]
    return Report(len(addresses) - len(unreachable), unreachable)
