"""An expense report that waits for the flight and the hotel of one trip, in whichever order.

Two systems of other people publish what was booked; neither knows of reports, nor of the other. The
first booking of a trip starts its report, the second finds it waiting. Both publish some things
twice: a booking counts once.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tenuto import App, Client, Context

app = App()

FLIGHTS, HOTELS, REPORTS = "flights", "hotels", "reports"


@dataclass(frozen=True)
class Report:
    trip: str
    total: int
    missing: list[str]


@app.subscribe(FLIGHTS, instance_per="key")
@app.subscribe(HOTELS, instance_per="key")
@app.orchestrator
async def expense_report(ctx: Context, trip: str) -> Report:
    amounts, missing = [], []
    patience = timedelta(days=30)
    waits = {
        topic: ctx.wait_for_event(topic, match=trip, timeout=patience)
        for topic in (FLIGHTS, HOTELS)
    }
    for topic, wait in waits.items():
        try:
            booking = await wait
        except TimeoutError:
            missing.append(topic)
        else:
            amounts.append(booking.data["amount"])
    report = Report(trip, sum(amounts), missing)
    await ctx.publish(REPORTS, report, key=trip, type="report.ready")
    return report


@app.subscribe(REPORTS)
async def pay(report: Report) -> None:
    print(f"trip {report.trip}: {report.total} to be paid, missing: {report.missing or 'nothing'}")


# --- what the other systems do --------------------------------------------------------------------


async def booked(client: Client, topic: str, trip: str, amount: int) -> None:
    """They may say so twice: under the booking's own id it is one event."""
    booking: dict[str, Any] = {"trip": trip, "amount": amount}
    await client.publish(topic, booking, key=trip, event_id=f"{topic}-{trip}")


async def main() -> None:
    """Book three trips on the host that serves this file."""
    async with Client("http://127.0.0.1:7071") as client:
        await booked(client, FLIGHTS, "lyon", 320)
        await booked(client, HOTELS, "prague", 210)
        await booked(client, FLIGHTS, "lyon", 320)
        await booked(client, HOTELS, "lyon", 180)
        await booked(client, FLIGHTS, "prague", 450)


if __name__ == "__main__":
    asyncio.run(main())
