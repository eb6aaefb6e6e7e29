"""What servers and commands say of usage: the JSON body, and the same as lines of a table."""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from tenuto.model.timing import Microseconds
from tenuto.model.usage import (
    Amounts,
    Day,
    Dimension,
    FunctionKind,
    PricePlan,
    UsageLine,
    checked_day,
    date_of,
)

_DIGITS: Final = 9
"""Behind the point of a price: a single execution costs millionths."""

_FORMULA: Final = ("=", "+", "-", "@")
"""What a spreadsheet takes for the beginning of a formula, be it in the wide forms of these."""

_CELL: Final = re.compile(r"([;\t\r\n])")
"""After these a spreadsheet may begin another cell: what separates cells depends on the country."""

_UNSEEN: Final = ("C", "Z")
"""Characters that spreadsheets skip, by general category: blanks, controls, those without width."""


class UsageLineBody(Struct, frozen=True, kw_only=True, rename="camel"):
    """What was used, of all that the named dimensions have in common; a dimension that is not told
    apart is null.

    Attributes:
        day: Such as ``2026-11-01``, UTC.
        app: How the app is called.
        kind: What the function is.
        function: Its name.
        tag: The value of the tag; empty for instances without.
        executions: Turns of orchestrators and attempts of activities.
        running_microseconds: How long they ran.
        processor_microseconds: How long a processor was at work for them, as far as it is known.
        waiting_microseconds: Between turns; it costs nothing.
        memory_mebibyte_microseconds: Memory over time, exactly.
        gigabyte_seconds: The same as plans price it.
        operations: Rows that were written.
        bytes: Of histories that were written.
        price: What the plan would charge; null without one.
    """

    day: str | None
    app: str | None
    kind: FunctionKind | None
    function: str | None
    tag: str | None
    executions: int
    running_microseconds: Microseconds
    processor_microseconds: Microseconds
    waiting_microseconds: Microseconds
    memory_mebibyte_microseconds: int
    gigabyte_seconds: float
    operations: int
    bytes: int
    price: float | None = None

    @classmethod
    def of(cls, line: UsageLine, plan: PricePlan | None = None) -> "UsageLineBody":
        """The body for a line."""
        used = line.used
        return cls(
            day=None if line.day is None else date_of(line.day),
            app=line.app,
            kind=line.kind,
            function=line.function,
            tag=line.tag,
            executions=used.executions,
            running_microseconds=used.running,
            processor_microseconds=used.processor,
            waiting_microseconds=used.waiting,
            memory_mebibyte_microseconds=used.memory,
            gigabyte_seconds=round(used.gigabyte_seconds, _DIGITS),
            operations=used.operations,
            bytes=used.bytes,
            price=None if plan is None else round(plan.cost(used), _DIGITS),
        )

    @property
    def line(self) -> UsageLine:
        """The same as a store says it."""
        return UsageLine(
            day=None if self.day is None else checked_day(self.day, "day"),
            app=self.app,
            kind=self.kind,
            function=self.function,
            tag=self.tag,
            used=Amounts(
                self.executions,
                self.running_microseconds,
                self.processor_microseconds,
                self.waiting_microseconds,
                self.memory_mebibyte_microseconds,
                self.operations,
                self.bytes,
            ),
        )


class UsageBody(Struct, frozen=True, kw_only=True, rename={"first": "from", "last": "to"}):
    """What was used in some days.

    Attributes:
        first: The first day, UTC.
        last: The last day.
        by: What is told apart.
        lines: One for each, sorted.
        total: All of them together.
        plan: Whose prices stand beside; null without one.
        currency: What they are in.
        plans: The names of those that the settings have.
    """

    first: str
    last: str
    by: tuple[Dimension, ...]
    lines: list[UsageLineBody]
    total: UsageLineBody
    plan: str | None = None
    currency: str | None = None
    plans: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        days: tuple[Day, Day],
        by: tuple[Dimension, ...],
        lines: Sequence[UsageLine],
        plan: PricePlan | None = None,
        name: str | None = None,
        plans: Iterable[str] = (),
    ) -> "UsageBody":
        """The body for the lines of some days, with what a plan of this name would charge."""
        first, last = days
        return cls(
            first=date_of(first),
            last=date_of(last),
            by=by,
            lines=[UsageLineBody.of(line, plan) for line in lines],
            total=UsageLineBody.of(total_of(lines), plan),
            plan=name,
            currency=None if plan is None else plan.currency,
            plans=tuple(sorted(plans)),
        )


def total_of(lines: Sequence[UsageLine]) -> UsageLine:
    """All of them together."""
    used = Amounts()
    for line in lines:
        used += line.used
    return UsageLine(used=used)


def usage_csv(
    lines: Sequence[UsageLine], by: Sequence[Dimension], plan: PricePlan | None = None
) -> str:
    """Lines as comma-separated values, with a head; the price is the last column.

    A text that a spreadsheet would take for a formula has an apostrophe before it, also where a
    semicolon, a tab or a line break would begin another cell.
    """
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\r\n")
    names = [*(["kind", "function"] if one == "function" else [one] for one in by)]
    head = [name for pair in names for name in pair]
    writer.writerow(
        [
            *head,
            "executions",
            "running_microseconds",
            "processor_microseconds",
            "waiting_microseconds",
            "memory_mebibyte_microseconds",
            "gigabyte_seconds",
            "operations",
            "bytes",
            *([] if plan is None else ["waiting_price", "price", "currency"]),
        ]
    )
    for line in lines:
        body = UsageLineBody.of(line, plan)
        texts = {
            "day": body.day,
            "app": body.app,
            "kind": None if body.kind is None else body.kind.value,
            "function": body.function,
            "tag": body.tag,
        }
        writer.writerow(
            [
                *(_no_formula(texts[name] or "") for name in head),
                body.executions,
                body.running_microseconds,
                body.processor_microseconds,
                body.waiting_microseconds,
                body.memory_mebibyte_microseconds,
                f"{body.gigabyte_seconds:.9f}",
                body.operations,
                body.bytes,
                *(
                    []
                    if plan is None
                    else [0, f"{plan.cost(line.used):.9f}", _no_formula(plan.currency)]
                ),
            ]
        )
    return written.getvalue()


def _no_formula(text: str) -> str:
    return "".join(f"'{cell}" if _is_formula(cell) else cell for cell in _CELL.split(text))


def _is_formula(cell: str) -> bool:
    for character in cell:
        if not unicodedata.category(character).startswith(_UNSEEN):
            return unicodedata.normalize("NFKC", character).startswith(_FORMULA)
    return False
