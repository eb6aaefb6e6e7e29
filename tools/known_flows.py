"""The flows of examples/azure, with what goes into each and what must come out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

AT_ONCE: Final = timedelta()


@dataclass(frozen=True)
class Event:
    """An external event that is raised for a flow.

    Attributes:
        after: The time that passes before it.
        name: Its name.
        data: Its data.
    """

    after: timedelta
    name: str
    data: object


@dataclass(frozen=True)
class Flow:
    """A flow with an input.

    Attributes:
        title: What it is called in the table.
        orchestrator: The name of the function, the same in both apps.
        given: Its input.
        expected: What it returns.
        passes: The time from its start to its end.
        events: What happens meanwhile, in this order.
    """

    title: str
    orchestrator: str
    given: object
    expected: object
    passes: timedelta = AT_ONCE
    events: Sequence[Event] = ()


REQUEST: Final = {"amount": 900}
INVOICE: Final = {"customer": "Ada"}
APPROVED: Final = {"approved": True}

FLOWS: Final = (
    Flow(
        "sequence",
        "order",
        {
            "id": "A-17",
            "address": "Lyon",
            "items": [
                {"name": "lamp", "price": 40, "quantity": 2},
                {"name": "bulb", "price": 3, "quantity": 4},
            ],
        },
        {"order": "A-17", "total": 92, "tracking": "T-A-17"},
    ),
    Flow(
        "retry with backoff",
        "payment",
        {"id": "P-1", "amount": 40, "failures": 3},
        {"payment": "P-1", "status": "charged", "attempts": 4},
        timedelta(seconds=5 + 10 + 20),
    ),
    Flow(
        "retry, given up",
        "payment",
        {"id": "P-2", "amount": 70, "failures": 99},
        {"payment": "P-2", "status": "failed"},
        timedelta(seconds=5 + 10 + 20 + 40),
    ),
    Flow(
        "fallback, not needed",
        "quote",
        {"kilograms": 3, "down": []},
        {"courier": "north", "price": 10},
    ),
    Flow(
        "fallback",
        "quote",
        {"kilograms": 3, "down": ["north"]},
        {"courier": "south", "price": 12},
    ),
    Flow(
        "sub-orchestrations",
        "provisioning",
        ["kitchen", "old-attic", "cellar"],
        {
            "ready": [
                {"device": "kitchen", "key": "key-of-kitchen", "firmware": "2.1"},
                {"device": "cellar", "key": "key-of-cellar", "firmware": "2.1"},
            ],
            "failed": ["old-attic"],
        },
    ),
    Flow(
        "fan-out of e-mails",
        "newsletter",
        {"subject": "Autumn", "readers": 500},
        {
            "sent": 490,
            "failed": 10,
            "refused": [f"reader{index}" for index in range(49, 500, 50)],
        },
    ),
    Flow(
        "approval",
        "approval",
        {"id": "E-1", **REQUEST},
        {"request": "E-1", "status": "approved", "by": "manager"},
        timedelta(days=1),
        [Event(timedelta(days=1), "Approval", APPROVED)],
    ),
    Flow(
        "approval, escalated",
        "approval",
        {"id": "E-2", **REQUEST},
        {"request": "E-2", "status": "rejected", "by": "director"},
        timedelta(days=4),
        [Event(timedelta(days=4), "Approval", {"approved": False})],
    ),
    Flow(
        "approval, nobody",
        "approval",
        {"id": "E-3", **REQUEST},
        {"request": "E-3", "status": "expired", "by": None},
        timedelta(days=6),
    ),
    Flow(
        "monitor",
        "monitor",
        {"place": "Lyon", "clearAfter": 5},
        {"place": "Lyon", "clear": True, "looks": 6},
        timedelta(hours=2, minutes=30),
    ),
    Flow(
        "monitor, deadline",
        "monitor",
        {"place": "Bergen", "clearAfter": 999},
        {"place": "Bergen", "clear": False, "looks": 12},
        timedelta(hours=6),
    ),
    Flow(
        "three-day reminder",
        "reminder",
        {"id": "I-1", **INVOICE},
        {"invoice": "I-1", "paid": False, "by": None, "reminded": True},
        timedelta(days=3),
    ),
    Flow(
        "reminder, paid",
        "reminder",
        {"id": "I-2", **INVOICE},
        {"invoice": "I-2", "paid": True, "by": "card", "reminded": False},
        timedelta(days=2),
        [Event(timedelta(days=2), "Paid", "card")],
    ),
    Flow(
        "eternal, a week of it",
        "cleanup",
        {"nights": 7},
        {"nights": 7},
        timedelta(days=6),
    ),
)
