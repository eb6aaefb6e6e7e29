"""What an observer is told: when an instance, a turn and an activity begin."""

from tenuto import App, Context
from tenuto.testing import RecordingObserver, TestHost

app = App()


@app.activity
async def add(first: int, second: int) -> int:
    return first + second


@app.orchestrator
async def sums(ctx: Context, number: int) -> int:
    return await ctx.call_activity(add, number, 1)


@app.orchestrator
async def begins_anew(ctx: Context, number: int) -> int:
    if number == 0:
        ctx.continue_as_new(1)
    return number


async def test_instances_turns_and_activities_are_told_of_once_they_are_durable() -> None:
    observer = RecordingObserver()
    async with TestHost(app, observer=observer) as test:
        assert await test.run(sums, 1, instance_id="sum") == 2
        assert await test.run(begins_anew, 0, instance_id="anew") == 1
    assert observer.began == ["sum", "anew", "anew"]
    assert observer.turns == [("sum", 0, 0), ("sum", 0, 1), ("anew", 0, 0), ("anew", 1, 0)]
    assert observer.activities == ["add"]
    assert [record.instance_id for record in observer.ended] == ["sum", "anew"]
