"""Reads licence plates from the pictures of a camera: `licence_plates`, glued by events.

No orchestrator: a file arrives and a function recognises it; what it has read is an event. Whoever
wants to know of cars subscribes: one function keeps the table, another one greets, and the next
team adds its own without asking. Where a step fails, the others go on.
"""

import csv
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from tenuto import App, ArrivedFile, Event, RetryPolicy, SyncClient

sys.path.insert(0, str(Path(__file__).parents[2]))  # the recogniser is that of the other example
from examples.licence_plates.licence_plates import UnreadableError, read_plate

app = App()

PLATES, UNREADABLE = "plates", "unreadable"
TABLE = Path("sightings.csv")
DISKS_HICCUP = RetryPolicy(max_attempts=3, first_interval=timedelta(seconds=1), backoff=2.0)

Path("pictures").mkdir(exist_ok=True)


@dataclass(frozen=True)
class Sighting:
    plate: str
    picture: str


@app.files("pictures", pattern="*.txt")
@app.publishes(PLATES, key="plate")
def recognise(file: ArrivedFile, client: SyncClient) -> Sighting | None:
    """A file runs at least once; what comes of it has its id as an event, so it is there once."""
    try:
        return Sighting(read_plate(file.path.read_text("utf-8")), file.name)
    except UnreadableError as error:
        why = {"picture": file.name, "why": str(error)}
        client.publish(UNREADABLE, why, event_id=file.id)
        return None


@app.subscribe(PLATES, concurrency=1, retry=DISKS_HICCUP)  # one writer, or lines get mixed up
def store(event: Event) -> None:
    sighting = Sighting(**event.data)
    with TABLE.open("a+", encoding="utf-8", newline="") as table:
        table.seek(0)
        if any(row and row[0] == event.id for row in csv.reader(table)):
            return  # written by an attempt that could not say so any more
        csv.writer(table).writerow([event.id, sighting.plate, sighting.picture])


@app.subscribe(PLATES)
def greet(sighting: Sighting) -> None:
    print(f"welcome, {sighting.plate}")


@app.subscribe(UNREADABLE)
def report(event: Event) -> None:
    print(f"cannot read {event.data['picture']}: {event.data['why']}")
