"""Reads licence plates from the pictures of a camera: the whole flow in one orchestrator.

A file arrives (we look every few seconds, or somebody says which), the plate is recognised, an
event is published, a line is stored, the picture is put away. Pictures are small text files; events
and the table of sightings go into folders of the current one.
"""

import asyncio
import csv
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from tenuto import ActivityContext, ActivityError, App, Context, RetryPolicy

app = App()

EVENTS = Path("events")
TABLE = Path("sightings.csv")
DISKS_HICCUP = RetryPolicy(max_attempts=5, first_interval=timedelta(seconds=1), backoff=2.0)


@dataclass(frozen=True)
class Gate:
    pictures: str
    every: timedelta = timedelta(seconds=5)
    close_after: timedelta | None = None  # nothing new for so long; None: never
    # From here on: what one round hands to the next.
    read: int = 0
    unreadable: int = 0
    quiet_since: datetime | None = None


@dataclass(frozen=True)
class Sighting:
    plate: str
    picture: str
    seen_at: datetime


@dataclass(frozen=True)
class Summary:
    read: int
    unreadable: int


class UnreadableError(Exception):
    """There is no plate in the picture, or too much mud on it."""


# --- the flow -------------------------------------------------------------------------------------


@app.orchestrator
async def watch_gate(ctx: Context, gate: Gate) -> Summary:
    try:
        names = [await ctx.wait_for_external_event("picture", str, timeout=gate.every)]
    except TimeoutError:
        names = await ctx.call_activity(find_pictures, gate.pictures)

    outcomes = await asyncio.gather(*(take_in(ctx, gate.pictures, name) for name in names))
    gate = replace(
        gate, read=gate.read + sum(outcomes), unreadable=gate.unreadable + outcomes.count(False)
    )
    ctx.set_custom_status({"read": gate.read, "unreadable": gate.unreadable})

    now = ctx.current_time
    quiet_since = now if names or gate.quiet_since is None else gate.quiet_since
    if gate.close_after is None or now - quiet_since < gate.close_after:
        ctx.continue_as_new(replace(gate, quiet_since=quiet_since))
    return Summary(gate.read, gate.unreadable)


async def take_in(ctx: Context, pictures: str, name: str) -> bool:
    try:
        plate = await ctx.call_activity(recognise, pictures, name)
    except ActivityError as error:
        ctx.logger.warning("%s: %s", name, error.failure.error_message)
        await ctx.call_activity(put_away, pictures, name, "unreadable")
        return False
    sighting = Sighting(plate, name, ctx.current_time)
    await ctx.call_activity(publish, sighting)
    await ctx.call_activity(store, sighting)
    await ctx.call_activity(put_away, pictures, name, "done")
    return True


# --- activities -----------------------------------------------------------------------------------


@app.activity(retry=DISKS_HICCUP)
def find_pictures(pictures: str) -> list[str]:
    return sorted(file.name for file in Path(pictures).glob("*.txt"))


@app.activity(cpu_bound=True)  # it computes: a process of its own
def recognise(pictures: str, name: str) -> str:
    return read_plate(_picture(pictures, name).read_text("utf-8"))


@app.activity(retry=DISKS_HICCUP)
def publish(activity: ActivityContext, sighting: Sighting) -> None:
    """Stands for a message broker that recognises what it is sent twice by its key."""
    EVENTS.mkdir(exist_ok=True)
    name = activity.idempotency_key.replace(":", "-")
    (EVENTS / f"{name}.json").write_bytes(msgspec.json.encode(sighting))


@app.activity(retry=DISKS_HICCUP, max_concurrent=1)  # one writer, or lines get mixed up
def store(activity: ActivityContext, sighting: Sighting) -> None:
    key = activity.idempotency_key
    with TABLE.open("a+", encoding="utf-8", newline="") as table:
        table.seek(0)
        if any(row and row[0] == key for row in csv.reader(table)):
            return  # written by an attempt that could not say so any more
        seen_at = f"{sighting.seen_at:%Y-%m-%d %H:%M:%S}"
        csv.writer(table).writerow([key, seen_at, sighting.plate, sighting.picture])


@app.activity(retry=DISKS_HICCUP)
def put_away(pictures: str, name: str, where: str) -> None:
    picture = Path(pictures) / Path(name).name
    target = picture.parent / where / picture.name
    target.parent.mkdir(parents=True, exist_ok=True)
    if picture.exists():  # otherwise an earlier attempt has moved it
        picture.replace(target)


def _picture(pictures: str, name: str) -> Path:
    # Names come from outside, with an event; they must not lead out of the folder.
    if Path(name).name != name:
        raise ValueError(f"{name!r} is not the name of a picture")
    return Path(pictures) / name


# --- the recogniser: simple, but it has to think --------------------------------------------------

GLYPH_WIDTH, GLYPH_HEIGHT = 3, 5
GLYPHS = {
    "0": ".#. #.# #.# #.# .#.",
    "1": ".#. ##. .#. .#. ###",
    "2": "##. ..# .#. #.. ###",
    "3": "### ..# .## ..# ###",
    "4": "#.# #.# ### ..# ..#",
    "5": "### #.. ##. ..# ##.",
    "6": ".## #.. ### #.# ###",
    "7": "### ..# ..# .#. .#.",
    "8": "### #.# ### #.# ###",
    "9": "### #.# ### ..# ##.",
    "A": ".#. #.# ### #.# #.#",
    "C": ".## #.. #.. #.. .##",
    "E": "### #.. ##. #.. ###",
    "J": "..# ..# ..# #.# .#.",
    "L": "#.. #.. #.. #.. ###",
    "T": "### .#. .#. .#. .#.",
    "X": "#.# #.# .#. #.# #.#",
    "Y": "#.# #.# .#. .#. .#.",
}


def read_plate(picture: str) -> str:
    """The plate in a picture; each letter may have one wrong dot."""
    rows = picture.splitlines()[:GLYPH_HEIGHT]
    dark = [row.find("#") for row in rows if "#" in row]
    if len(rows) < GLYPH_HEIGHT or not dark:
        raise UnreadableError("there is no plate in the picture")
    width = max(map(len, rows))
    cells = [
        " ".join(
            row.ljust(width, ".")[at : at + GLYPH_WIDTH].ljust(GLYPH_WIDTH, ".") for row in rows
        )
        for at in range(min(dark), width, GLYPH_WIDTH + 1)
    ]
    return "".join(_letter(cell) for cell in cells)


def _letter(cell: str) -> str:
    wrong = {
        letter: sum(dot != expected for dot, expected in zip(cell, glyph, strict=True))
        for letter, glyph in GLYPHS.items()
    }
    best, second = sorted(wrong, key=lambda letter: wrong[letter])[:2]
    if wrong[best] > 1 or wrong[best] == wrong[second]:
        raise UnreadableError(f"this may be {best} or {second}")
    return best
