"""What the page Changing code says is safe, and what it says is held."""

import textwrap
from pathlib import Path

import pytest

from tenuto import App
from tenuto.host.checking import fit_check
from tenuto.insight.fitting import check_store
from tests.support.deployments import deployments

CODE = """
from datetime import timedelta
from tenuto import App, Context, RetryPolicy

app = App()


@app.activity
def book(city: str, seats: int = 1) -> str:
    return city  # booked


@app.activity
def pack(city: str) -> str:
    return city


@app.activity(retry=RetryPolicy(max_attempts=5, first_interval=timedelta(hours=1)))
def moody() -> None:
    raise OSError("not yet")


@app.orchestrator
async def trip(ctx: Context, city: str, seats: int) -> str:
    city = await ctx.call_activity(book, city, seats)
    await ctx.wait_for_external_event("paid", str)
    await ctx.create_timer(timedelta(hours=1))
    await ctx.call_activity(pack, city)
    return city  # at the end


@app.orchestrator  # the second
async def single(ctx: Context, city: str) -> None:
    await ctx.create_timer(timedelta(hours=2))


@app.orchestrator
async def retries(ctx: Context) -> None:
    await ctx.call_activity(moody)
"""
BOOK = "city = await ctx.call_activity(book, city, seats)"
PACK = "await ctx.call_activity(pack, city)"
TRIP = "city: str, seats: int) -> str"
SAFE = {
    "an activity's body": [("return city  # booked", "return 'no'")],
    "a log line and a status": [(BOOK, f"ctx.logger.info('x'); ctx.set_custom_status(1); {BOOK}")],
    "steps after the point": [("return city  # at the end", f"{PACK}; return city")],
    "a step after the point away": [(PACK, "pass")],
    "another input": [("book, city, seats)", "book, city + '!', 7)")],
    "another length of a timer": [
        ("ctx.create_timer(timedelta(hours=1))", "ctx.create_timer(timedelta(days=9))"),
        ("hours=2", "hours=3"),
    ],
    "another pause": [("first_interval=timedelta(hours=1)", "first_interval=timedelta(hours=7)")],
    "more attempts": [("max_attempts=5", "max_attempts=50")],
    "a new function": [
        (
            "@app.orchestrator  # the second",
            "@app.activity\ndef fresh() -> None: ...\n\n\n@app.orchestrator",
        )
    ],
    "a third parameter with a default": [
        (TRIP, "city: str, seats: int, class_: str = 'b') -> str"),
    ],
    "an activity that nobody waits for": [
        ("def pack(city: str)", "def unpack(city: str)"),
        ("ctx.call_activity(pack, city)", "ctx.call_activity(unpack, city)"),
    ],
}
HELD = {
    "a call added": ([(BOOK, f"{PACK}; {BOOK}")], {"trip": "decisions"}),
    "a call removed": ([(BOOK, "pass")], {"trip": "decisions"}),
    "a call renamed": ([(BOOK, f"city = {PACK}")], {"trip": "decisions"}),
    "an event's name": ([('"paid"', '"payment"')], {"trip": "decisions"}),
    "an orchestrator renamed": (
        [("async def trip", "async def tour")],
        {"trip": "not_served", "later": "not_served"},
    ),
    "a result's type": (
        [("seats: int = 1) -> str", "seats: int = 1) -> int")],
        {"trip": "payload"},
    ),
    "an input's type": (
        [(TRIP, "city: int, seats: int) -> str")],
        {"trip": "payload", "later": "payload"},
    ),
    "a second parameter beside one": (
        [("city: str) -> None", "city: str, seats: int = 1) -> None")],
        {"single": "payload"},
    ),
    "a clock": ([(BOOK, f"import time; time.time(); {BOOK}")], {"trip": "guard"}),
    "fewer attempts than made": ([("max_attempts=5", "max_attempts=1")], {"retries": "decisions"}),
}


def app_of(pairs: list[tuple[str, str]]) -> App:
    code = CODE
    for old, new in pairs:
        assert code.count(old) == 1, old
        code = code.replace(old, new)
    scope: dict[str, object] = {"__name__": "trips"}
    exec(compile(textwrap.dedent(code), "trips.py", "exec"), scope)
    app = scope["app"]
    assert isinstance(app, App)
    return app


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [*((pairs, {}) for pairs in SAFE.values()), *HELD.values()],
    ids=[*SAFE, *HELD],
)
async def test_what_the_page_says_of_a_change_is_so(
    pairs: list[tuple[str, str]], expected: dict[str, str]
) -> None:
    async with deployments(app_of([])) as one:
        await one.test.start("trip", "Oslo", 2, instance_id="trip")
        await one.test.start("single", "Oslo", instance_id="single")
        await one.test.start("retries", instance_id="retries")
        later = one.test.clock.current_time.replace(year=2027)
        await one.test.client.start("trip", "Rome", 1, instance_id="later", start_at=later)
        await one.test.idle()
        report = await check_store(fit_check(app_of(pairs), one.test.settings), one.storage)
    found = {
        name: str(misfit.reason)
        for fit in report.orchestrators
        for misfit in fit.misfits
        for name in misfit.instance_ids
    }
    assert found == expected


def test_each_row_of_the_page_is_looked_at() -> None:
    page = (Path(__file__).parents[2] / "docs" / "changing-code.md").read_text()
    rows = page.partition("## What is safe")[2].partition("## ")[0].count("\n| ") - 1
    # One says what follows from the ids of instances of a key, and is not of what is stored.
    assert rows == 13 + 1
