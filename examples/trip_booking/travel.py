"""Two conferences, one expense report: plain functions that survive crashes.

Run it, kill it at any moment, run it again: it goes on where it was. State is in ``tenuto.db`` in
the current folder; ``ledger.db`` stands for the booking offices of the world.
"""

import asyncio
import time
from dataclasses import dataclass
from datetime import timedelta

import ledger

from tenuto import ActivityContext, ActivityError, App, Context, RetryPolicy

app = App()


@dataclass(frozen=True)
class Conference:
    name: str
    city: str
    hotels: list[str]  # in the order of our liking


@dataclass(frozen=True)
class Booking:
    number: int
    kind: str
    what: str
    price: int


@dataclass(frozen=True)
class Trip:
    conference: str
    bookings: list[Booking]


@dataclass(frozen=True)
class ExpenseReport:
    lines: list[str]
    total: int


class AirlineDownError(Exception):
    """The airline's booking system does not answer."""


class OverbookedError(Exception):
    """The hotel took the reservation, but has no room."""


PATIENTLY = RetryPolicy(max_attempts=3, first_interval=timedelta(seconds=0.3), backoff=2.0)


# --- activities: ordinary functions that talk to the world -------------------------------------


@app.activity
def book_conference(activity: ActivityContext, conference: Conference) -> Booking:
    return _book(activity, "ticket", conference.name, 450)


@app.activity(retry=PATIENTLY)
def book_flight(activity: ActivityContext, city: str) -> Booking:
    if city == "Lyon":
        time.sleep(0.3)
        raise AirlineDownError(f"no answer about flights to {city}")
    return _book(activity, "flight", f"flight to {city}", 220)


@app.activity
def book_train(activity: ActivityContext, city: str) -> Booking:
    return _book(activity, "train", f"train to {city}", 140)


@app.activity
def reserve_hotel(activity: ActivityContext, hotel: str) -> Booking:
    return _book(activity, "hotel", hotel, 390)


@app.activity
def confirm_hotel(booking: Booking) -> None:
    time.sleep(0.8)
    if booking.what == "Hotel Opera":
        raise OverbookedError(f"{booking.what} has no room for reservation {booking.number}")


@app.activity
def cancel_hotel(booking: Booking) -> None:
    ledger.cancel(booking.number)
    time.sleep(0.5)


@app.activity
def write_expense_report(trips: list[Trip]) -> ExpenseReport:
    time.sleep(0.5)
    bookings = [booking for trip in trips for booking in trip.bookings]
    lines = [f"{booking.what:<22} {booking.price:>5} €" for booking in bookings]
    return ExpenseReport(lines, sum(booking.price for booking in bookings))


def _book(activity: ActivityContext, kind: str, what: str, price: int) -> Booking:
    # The key is the same in every attempt at this booking, also after a crash: so the office
    # recognises a request that it has carried out already.
    number = ledger.book(activity.idempotency_key, kind, what, price)
    time.sleep(1.2)  # booking offices take their time to confirm
    return Booking(number, kind, what, price)


# --- orchestrators: the plan, in plain asyncio --------------------------------------------------


@app.orchestrator
async def plan_travel(ctx: Context, conferences: list[Conference]) -> ExpenseReport:
    trips = await asyncio.gather(
        *(ctx.call_sub_orchestrator(attend, conference) for conference in conferences)
    )
    return await ctx.call_activity(write_expense_report, trips)


@app.orchestrator
async def attend(ctx: Context, conference: Conference) -> Trip:
    ticket = await ctx.call_activity(book_conference, conference)
    journey, hotel = await asyncio.gather(
        find_journey(ctx, conference.city), find_hotel(ctx, conference.hotels)
    )
    return Trip(conference.name, [ticket, journey, hotel])


async def find_journey(ctx: Context, city: str) -> Booking:
    try:
        return await ctx.call_activity(book_flight, city)
    except ActivityError:
        return await ctx.call_activity(book_train, city)


async def find_hotel(ctx: Context, hotels: list[str]) -> Booking:
    for hotel in hotels:
        booking = await ctx.call_activity(reserve_hotel, hotel)
        try:
            await ctx.call_activity(confirm_hotel, booking)
        except ActivityError:
            await ctx.call_activity(cancel_hotel, booking)  # undo what cannot be completed
        else:
            return booking
    raise LookupError(f"no room in any of {', '.join(hotels)}")


CONFERENCES = [
    Conference("PyCon Lyon", "Lyon", ["Hotel Lumière"]),
    Conference("EuroPython Prague", "Prague", ["Hotel Opera", "Hotel Karlov"]),
]
INSTANCE_ID = "autumn-travel"

if __name__ == "__main__":
    # The id makes it one trip: when this script is run again, it goes on with it.
    report = app.run(plan_travel, CONFERENCES, instance_id=INSTANCE_ID)
    print("\n".join([*report.lines, f"{'total':<22} {report.total:>5} €"]))
