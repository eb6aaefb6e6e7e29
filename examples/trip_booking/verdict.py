"""Compares two books that were kept apart: Tenuto's history and the booking office's ledger."""

import json
from collections import Counter
from dataclasses import dataclass

from ledger import Entry
from steps import Instance, Step
from travel import CONFERENCES, PATIENTLY

from tenuto import RuntimeStatus

BOOKING_STEPS = {"book_conference", "book_flight", "book_train", "reserve_hotel"}


@dataclass(frozen=True)
class Finding:
    """A claim, and whether it holds."""

    holds: bool
    claim: str


def examine(tree: dict[str, Instance], entries: list[Entry]) -> list[Finding]:
    """Everything that must be true after a crash in the middle."""
    steps = [step for instance in tree.values() for step in instance.steps]
    booked = [step for step in steps if step.name in BOOKING_STEPS and step.is_done]
    standing = [entry for entry in entries if not entry.is_canceled]
    return [
        Finding(
            len(tree) == 1 + len(CONFERENCES)
            and all(one.status is RuntimeStatus.COMPLETED for one in tree.values()),
            f"all {len(tree)} orchestrations are completed",
        ),
        Finding(
            all(step.is_answered_once for step in steps),
            f"each of the {sum(len(step.answers) for step in steps)} scheduled attempts has "
            "exactly one answer in history",
        ),
        Finding(
            _numbers_by_key(booked) == Counter((entry.key, entry.number) for entry in entries),
            f"each of the {len(booked)} bookings stands once in history and once in the ledger",
        ),
        Finding(
            _is_replaced(steps, "book_flight", "book_train", "Lyon"),
            "the flight that kept failing was replaced by a train",
        ),
        Finding(
            [entry.what for entry in entries if entry.is_canceled] == ["Hotel Opera"],
            "the one reservation that could not be completed was canceled",
        ),
        Finding(
            _total(tree) == sum(entry.price for entry in standing),
            "the expense report adds up to what the ledger says",
        ),
    ]


def _numbers_by_key(booked: list[Step]) -> Counter[tuple[str, int]]:
    return Counter((step.key, json.loads(step.result or "{}")["number"]) for step in booked)


def _is_replaced(steps: list[Step], failing: str, instead: str, subject: str) -> bool:
    first = [step for step in steps if step.name == failing and step.subject == subject]
    second = [step for step in steps if step.name == instead and step.subject == subject]
    return (
        len(first) == len(second) == 1
        and not first[0].is_done
        and first[0].attempts == PATIENTLY.max_attempts
        and second[0].is_done
    )


def _total(tree: dict[str, Instance]) -> object:
    report = next(iter(tree.values())).output
    return report.get("total") if isinstance(report, dict) else None
