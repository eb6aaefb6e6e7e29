"""Usage: what functions have used up, and what that would cost. Pure; all counting is in integers.

An *execution* of an orchestrator is a turn, as Azure Functions bills it; that of an activity is an
attempt whose end a turn has taken in. So executions are what histories hold, and nothing else:
each turn is one, and so is each ``TaskCompleted`` and ``TaskFailed``.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta, Struct

from tenuto.model.errors import InputError
from tenuto.model.timing import MICROSECONDS, Microseconds

Day: TypeAlias = int
"""Days since 1970, UTC."""

Dimension: TypeAlias = Literal["day", "app", "function", "tag"]
DIMENSIONS: Final[tuple[Dimension, ...]] = ("day", "app", "function", "tag")
"""What usage can be told apart by, in the order in which lines are sorted."""

OTHER_TAGS: Final = "(other)"
"""Stands for all values of the tag beyond those that are told apart in a day."""

UNKNOWN_FUNCTION: Final = "(unknown)"
"""Whose attempt ended under a Tenuto that did not measure, and was taken in by one that does."""

MOST_ROWS: Final = 100_000
"""So many rows are told at once; who asks for more is told to ask for less."""

DEFAULT_DAYS: Final = 30
"""What is shown when nobody says from when."""

MEGABYTES_PER_GIGABYTE: Final = 1_024
_EPOCH: Final = date(1970, 1, 1)
_LAST_DAY: Final = (date.max - _EPOCH).days
_DAY: Final = 86_400 * MICROSECONDS
_HOUR: Final = 3_600 * MICROSECONDS
_MILLION: Final = 1_000_000

_Price = Annotated[float, Meta(ge=0, lt=1e12)]


class FunctionKind(StrEnum):
    """What a function is."""

    ORCHESTRATOR = "orchestrator"
    ACTIVITY = "activity"
    ROOT = "root"
    """No function: a root instance with all that it calls, which are counted once more under its id
    while there is a budget for each (``usage.instance_budget``)."""


class AttemptUsage(Struct, frozen=True, array_like=True, gc=False):
    """What one attempt of an activity has used.

    Attributes:
        function: The activity's name.
        running: Seconds from its beginning to its end; 0 when it never began.
        processor: Seconds of a processor, as far as that was measured.
    """

    function: str
    running: float = 0.0
    processor: float = 0.0


class UsageRow(Struct, frozen=True, array_like=True, gc=False):
    """What a function has used in a day, for one value of the tag.

    Attributes:
        day: Days since 1970, UTC; the day of the commits.
        app: How the app is called (setting ``usage.app``).
        kind: What the function is.
        function: Its name.
        tag: The value of the instances' tag (setting ``usage.tag``); empty for none.
        executions: Turns of an orchestrator, attempts of an activity.
        running: Microseconds.
        processor: Microseconds of a processor.
        waiting: Microseconds between turns, in which nothing of an orchestration runs.
        memory: Mebibytes times microseconds.
        operations: Rows that were written.
        bytes: Of histories that were written.
    """

    day: Day
    app: str
    kind: FunctionKind
    function: str
    tag: str = ""
    executions: int = 0
    running: Microseconds = 0
    processor: Microseconds = 0
    waiting: Microseconds = 0
    memory: int = 0
    operations: int = 0
    bytes: int = 0

    @property
    def amounts(self) -> "Amounts":
        """The numbers alone."""
        return Amounts(
            self.executions,
            self.running,
            self.processor,
            self.waiting,
            self.memory,
            self.operations,
            self.bytes,
        )


class Amounts(Struct, frozen=True, gc=False):
    """How much was used: the numbers of a ``UsageRow``, which can be added up.

    Attributes:
        executions: Turns and attempts.
        running: Microseconds.
        processor: Microseconds of a processor.
        waiting: Microseconds; they cost nothing.
        memory: Mebibytes times microseconds.
        operations: Rows that were written.
        bytes: Of histories that were written.
    """

    executions: int = 0
    running: Microseconds = 0
    processor: Microseconds = 0
    waiting: Microseconds = 0
    memory: int = 0
    operations: int = 0
    bytes: int = 0

    def __add__(self, other: "Amounts") -> "Amounts":
        """Both together, exactly."""
        return Amounts(
            self.executions + other.executions,
            self.running + other.running,
            self.processor + other.processor,
            self.waiting + other.waiting,
            self.memory + other.memory,
            self.operations + other.operations,
            self.bytes + other.bytes,
        )

    @property
    def gigabyte_seconds(self) -> float:
        """Memory over time as plans price it."""
        return self.memory / MEGABYTES_PER_GIGABYTE / MICROSECONDS


class PricePlan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What usage would cost on a plan: the user's own figures, Tenuto knows none.

    Attributes:
        per_million_executions: For a million turns and attempts.
        per_gigabyte_second: For a gibibyte of memory in a second of running.
        per_processor_hour: For an hour of a processor.
        per_million_operations: For a million rows that are written.
        currency: What the figures are in.

    Example:
        >>> plan = PricePlan(per_million_executions=0.20)
        >>> plan.cost(Amounts(executions=5_000_000))
        1.0
    """

    per_million_executions: _Price = 0.0
    per_gigabyte_second: _Price = 0.0
    per_processor_hour: _Price = 0.0
    per_million_operations: _Price = 0.0
    currency: Annotated[str, Meta(min_length=1, max_length=12, pattern=r"^[^\x00-\x20]+$")] = "USD"

    def cost(self, used: Amounts) -> float:
        """The price of that; waiting and bytes are free."""
        return (
            used.executions / _MILLION * self.per_million_executions
            + used.gigabyte_seconds * self.per_gigabyte_second
            + used.processor / _HOUR * self.per_processor_hour
            + used.operations / _MILLION * self.per_million_operations
        )


class UsageLine(Struct, frozen=True, kw_only=True):
    """Usage of all that the named dimensions have in common; None for a dimension that is not told
    apart.

    Attributes:
        day: Days since 1970, UTC.
        app: How the app is called.
        kind: What the function is.
        function: Its name.
        tag: The value of the tag.
        used: How much.
    """

    day: Day | None = None
    app: str | None = None
    kind: FunctionKind | None = None
    function: str | None = None
    tag: str | None = None
    used: Amounts = Amounts()


def grouped(rows: Iterable[UsageRow], by: Sequence[Dimension]) -> list[UsageLine]:
    """Rows added up by these dimensions, sorted by them; by none the one total.

    Args:
        rows: What was used.
        by: What is told apart.

    Example:
        >>> rows = [UsageRow(1, "shop", FunctionKind.ACTIVITY, "pay", executions=2)] * 2
        >>> grouped(rows, ["day"])[0].used.executions
        4
    """
    sums: dict[tuple[Day | None, str | None, FunctionKind | None, str | None, str | None], Amounts]
    sums = {}
    for row in rows:
        key = (
            row.day if "day" in by else None,
            row.app if "app" in by else None,
            row.kind if "function" in by else None,
            row.function if "function" in by else None,
            row.tag if "tag" in by else None,
        )
        sums[key] = sums.get(key, Amounts()) + row.amounts
    lines = [
        UsageLine(day=day, app=app, kind=kind, function=function, tag=tag, used=used)
        for (day, app, kind, function, tag), used in sums.items()
    ]
    return sorted(lines, key=_place)


def _place(line: UsageLine) -> tuple[Day, str, str, str, str]:
    kind = "" if line.kind is None else line.kind.value
    return line.day or 0, line.app or "", line.function or "", kind, line.tag or ""


def bounded(rows: list[UsageRow]) -> list[UsageRow]:
    """The same rows, unless there are too many.

    Raises:
        InputError: there are more than ``MOST_ROWS``.
    """
    if len(rows) > MOST_ROWS:
        raise InputError(
            f"that would be more than {MOST_ROWS:,} lines of usage; ask for fewer days, or tell "
            "fewer things apart"
        )
    return rows


def total(rows: Iterable[UsageRow]) -> Amounts:
    """All of it."""
    found = Amounts()
    for row in rows:
        found += row.amounts
    return found


def day_of(moment: Microseconds) -> Day:
    """The day of a moment.

    Example:
        >>> day_of(86_400_000_000)
        1
    """
    return moment // _DAY


def date_of(day: Day) -> str:
    """A day as people write it.

    Example:
        >>> date_of(20_758)
        '2026-11-01'
    """
    return (_EPOCH + timedelta(days=min(max(day, 0), _LAST_DAY))).isoformat()


def checked_day(text: str, what: str) -> Day:
    """A day that somebody has written.

    Args:
        text: Such as ``2026-11-01``.
        what: What it is for, as a sentence begins.

    Raises:
        InputError: it is no day, or one before 1970.
    """
    try:
        moment = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise InputError(f"{what} must be a day such as 2026-11-01, got {text!r}") from None
    day = (moment.date() - _EPOCH).days
    if day < 0:
        raise InputError(f"{what} must be a day since 1970, got {text!r}")
    return day


def checked_span(first: Day, last: Day) -> tuple[Day, Day]:
    """Two days, of which the first does not come after the last.

    Raises:
        InputError: it does.
    """
    first = max(first, 0)
    if first > last:
        raise InputError(f"from {date_of(first)} to {date_of(last)} there is no day")
    return first, last


def checked_dimensions(text: str, what: str) -> tuple[Dimension, ...]:
    """Dimensions that somebody has written, with commas between them.

    Args:
        text: Such as ``function,day``; empty for none.
        what: What they are for, as a sentence begins.

    Raises:
        InputError: one is none, or comes twice.
    """
    names = [part.strip() for part in text.split(",")] if text else []
    for name in names:
        if name not in DIMENSIONS:
            raise InputError(f"{what} must be some of {', '.join(DIMENSIONS)}, got {name!r}")
    if len(set(names)) < len(names):
        raise InputError(f"{what} names a dimension twice: {text!r}")
    return tuple(one for one in DIMENSIONS if one in names)


class TagValues(Struct):
    """The values of the tag that are told apart in a day: so many that rows stay bounded.

    Attributes:
        most: How many; the others share ``OTHER_TAGS``.
        day: Which day's they are.
        known: The values, each with the form in which it is stored.
    """

    most: int
    day: Day = -1
    known: dict[str, str] = {}

    def begin(self, day: Day, known: Iterable[str] = ()) -> None:
        """Another day; ``known`` are the values that it has already."""
        self.day = day
        self.known = {value: value for value in known if value and value != OTHER_TAGS}

    def kept(self, value: str) -> str:
        """The value as it is stored: the same, or the one for all others."""
        found = self.known.get(value)
        if found is None:
            if not value:
                return ""
            found = OTHER_TAGS
            if len(self.known) < self.most:
                found = storable_name(value)
                self.known[value] = found
        return found


_LONGEST_NAME: Final = 200


def storable_name(value: str) -> str:
    """A name as it stands in usage: no longer than a line, and such as every store can hold.

    Example:
        >>> storable_name("pay")
        'pay'
    """
    return value[:_LONGEST_NAME].encode(errors="replace").decode().replace("\x00", "\ufffd")
