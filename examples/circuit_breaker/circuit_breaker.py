"""Quotes that do without a failing service, and a breaker that spares it.

A shop asks a service for prices. When the service fails again and again the breaker opens: for a
while nobody asks it, and the shop sells at the last price it knows, marked as such. Quotes made so
are looked at again when the service is back.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from tenuto import ActivityError, App, Context, RetryPolicy

app = App()

LAST_KNOWN: dict[str, int] = {"tea": 300, "honey": 700}
FAILING: set[str] = set()
"""What the service fails for; a real one would be behind HTTP."""


class BreakerOpenError(Exception):
    """The service has failed too often, and is not asked for a while."""


@dataclass
class Breaker:
    """Closed: calls pass. Open: they fail at once. After a while one call tries: half open.

    It is this process's own view, as good on ten hosts as on one: each learns by itself.
    """

    most_failures: int = 3
    rest_seconds: float = 30.0
    now: Callable[[], float] = time.monotonic
    failures: int = 0
    opened_at: float | None = None
    calls: list[str] = field(default_factory=list)

    @property
    def state(self) -> str:
        if self.opened_at is None:
            return "closed"
        return "half open" if self.now() - self.opened_at >= self.rest_seconds else "open"

    def call(self, service: Callable[[str], int], item: str) -> int:
        if self.state == "open":
            raise BreakerOpenError(f"no call within {self.rest_seconds:g} s of the last failure")
        try:
            self.calls.append(item)
            answer = service(item)
        except ConnectionError:
            self.failures += 1
            if self.failures >= self.most_failures:
                self.opened_at = self.now()
            raise
        self.failures, self.opened_at = 0, None
        return answer


breaker = Breaker()


def price_service(item: str) -> int:
    if item in FAILING:
        raise ConnectionError(f"the price service does not answer for {item}")
    return LAST_KNOWN[item] + 10


@app.activity(
    retry=RetryPolicy(
        max_attempts=2,
        first_interval=timedelta(seconds=1),
        # Asking again would only be told the same: rather do without it at once.
        retry_if=lambda failure: not failure.is_caused_by(BreakerOpenError),
    )
)
def price(item: str) -> int:
    return breaker.call(price_service, item)


@app.activity
def last_known_price(item: str) -> int:
    return LAST_KNOWN[item]


@dataclass(frozen=True)
class Quote:
    item: str
    price: int
    is_estimate: bool = False


@app.orchestrator
async def quote(ctx: Context, item: str) -> Quote:
    try:
        return Quote(item, await ctx.call_activity(price, item))
    except ActivityError as error:
        ctx.logger.warning("%s: at the last price: %s", item, error.failure.error_message)
    estimate = Quote(item, await ctx.call_activity(last_known_price, item), is_estimate=True)
    await ctx.publish("estimates", estimate, key=item)
    return estimate


@app.subscribe("estimates")
@app.orchestrator
async def look_again(ctx: Context, estimate: Quote) -> Quote | None:
    """Later, and less and less often, for at most a day."""
    pause = timedelta(minutes=1)
    until = ctx.current_time + timedelta(days=1)
    while ctx.current_time + pause < until:
        await ctx.create_timer(pause)
        try:
            return Quote(estimate.item, await ctx.call_activity(price, estimate.item))
        except ActivityError:
            pause = min(2 * pause, timedelta(hours=1))
    return None
