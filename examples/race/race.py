"""Asks several carriers at once; the first good offer wins, the others are called off.

Carriers are slow, dear, out of order, or all of it; after a while nobody waits any longer. What the
losers are told is a cancellation token: their activities stop by themselves, nothing is killed.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from tenuto import ActivityContext, ActivityError, App, Context

app = App()


@dataclass(frozen=True)
class Carrier:
    """What a carrier is like in this simulation. Without a price it has no answer."""

    name: str
    seconds: float
    price: int | None


CARRIERS = {
    "swift": Carrier("swift", 0.5, None),
    "golden": Carrier("golden", 1.0, 900),
    "solid": Carrier("solid", 2.0, 250),
    "sleepy": Carrier("sleepy", 60.0, 100),
}


@dataclass(frozen=True)
class Request:
    route: str
    limit: int = 300
    patience: timedelta = timedelta(seconds=10)


@dataclass(frozen=True)
class Offer:
    carrier: str
    price: int


@dataclass(frozen=True)
class Outcome:
    winner: Offer | None
    turned_down: list[str]


@app.activity
async def ask(activity: ActivityContext, carrier: str, route: str) -> Offer:
    behaviour = CARRIERS[carrier]
    for _ in range(round(behaviour.seconds / 0.1)):
        if activity.cancellation.requested:
            activity.logger.warning("%s: never mind about %s", carrier, route)
            activity.cancellation.raise_if_requested()
        await asyncio.sleep(0.1)
    if behaviour.price is None:
        raise ConnectionError(f"{carrier} does not answer")
    return Offer(carrier, behaviour.price)


@app.orchestrator
async def find_carrier(ctx: Context, request: Request) -> Outcome:
    questions = [ctx.call_activity(ask, carrier, request.route) for carrier in CARRIERS]
    turned_down: list[str] = []
    try:
        async with asyncio.timeout(request.patience.total_seconds()):
            for answer in asyncio.as_completed(questions):
                try:
                    offer = await answer
                except ActivityError as error:
                    turned_down.append(error.failure.error_message)
                    continue
                if offer.price <= request.limit:
                    return Outcome(offer, turned_down)
                turned_down.append(f"{offer.carrier} wants {offer.price}")
    except TimeoutError:
        turned_down.append(f"no more answers within {request.patience}")
    finally:
        for question in questions:
            question.cancel()  # those who are still thinking about it
    return Outcome(None, turned_down)
