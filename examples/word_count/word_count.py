"""Counts the words of all texts in a folder: map-reduce.

Map: each file is cut into pieces, each piece is counted by an activity of its own, many at the same
time. Reduce: counts are added up, eight at a time, until one is left.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tenuto import ActivityError, App, Context

app = App()

WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")  # noqa: RUF001 - both apostrophes are meant
REDUCE_AT_ONCE = 8


@dataclass(frozen=True)
class Job:
    folder: str
    lines_per_piece: int = 20
    top: int = 10


@dataclass(frozen=True)
class Piece:
    file: str
    first_line: int
    lines: int


@dataclass(frozen=True)
class Result:
    files: int
    words: int
    top: dict[str, int]
    skipped: list[str]


# --- activities ----------------------------------------------------------------------------------


@app.activity
def find_texts(folder: str) -> list[str]:
    return sorted(str(file) for file in Path(folder).glob("*.txt"))


@app.activity
def cut(file: str, lines_per_piece: int) -> list[Piece]:
    with Path(file).open(encoding="utf-8") as text:
        lines = sum(1 for _ in text)
    return [Piece(file, first, lines_per_piece) for first in range(0, lines, lines_per_piece)]


@app.activity
def count(piece: Piece) -> dict[str, int]:
    with Path(piece.file).open(encoding="utf-8") as text:
        lines = islice(text, piece.first_line, piece.first_line + piece.lines)
        return dict(Counter(word for line in lines for word in WORD.findall(line.lower())))


@app.activity
def add_up(counts: list[dict[str, int]]) -> dict[str, int]:
    total = Counter[str]()
    for one in counts:
        total.update(one)
    return dict(total)


# --- orchestrators -------------------------------------------------------------------------------


@app.orchestrator
async def count_words(ctx: Context, job: Job) -> Result:
    files = await ctx.call_activity(find_texts, job.folder)
    outcomes = await asyncio.gather(
        *(ctx.call_sub_orchestrator(count_file, file, job.lines_per_piece) for file in files)
    )
    counted = [outcome for outcome in outcomes if isinstance(outcome, dict)]
    total = await reduce(ctx, counted)
    by_count = sorted(total.items(), key=lambda item: (-item[1], item[0]))
    skipped = [outcome for outcome in outcomes if isinstance(outcome, str)]
    return Result(len(counted), sum(total.values()), dict(by_count[: job.top]), skipped)


@app.orchestrator
async def count_file(ctx: Context, file: str, lines_per_piece: int) -> dict[str, int] | str:
    """The counts of one file, or why it has none."""
    try:
        pieces = await ctx.call_activity(cut, file, lines_per_piece)
        counts = await asyncio.gather(*(ctx.call_activity(count, piece) for piece in pieces))
    except ActivityError as error:
        return f"{file}: {error.failure}"
    return await reduce(ctx, counts)


async def reduce(ctx: Context, counts: Iterable[dict[str, int]]) -> dict[str, int]:
    """An ordinary function that orchestrators call: adds up in a tree, not in one long row."""
    counts = list(counts)
    while len(counts) > 1:
        groups = [counts[at : at + REDUCE_AT_ONCE] for at in range(0, len(counts), REDUCE_AT_ONCE)]
        counts = await asyncio.gather(*(ctx.call_activity(add_up, group) for group in groups))
    return counts[0] if counts else {}
