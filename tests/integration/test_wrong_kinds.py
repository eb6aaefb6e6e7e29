"""Handing over the wrong kind of thing gets one clear error; what was lost can be read."""

from pathlib import Path
from typing import Any

import pytest

from tenuto import App, Context, InputError, OrchestrationFailedError, PayloadError
from tenuto.testing import TestHost
from tests.support.refused import refused_events


@pytest.fixture(autouse=True)
def functions(app: App) -> None:
    @app.activity
    def work(number: int) -> int:
        return number

    @app.orchestrator
    async def child(ctx: Context) -> int:
        return 1

    def plain(number: int) -> int:
        return number

    @app.orchestrator
    async def confused(ctx: Context, how: str) -> object:
        calls: dict[str, tuple[Any, Any]] = {
            "activity": (ctx.call_sub_orchestrator, work),
            "orchestrator": (ctx.call_activity, child),
            "plain": (ctx.call_activity, plain),
            "number": (ctx.call_activity, 5),
        }
        call, given = calls[how]
        return await call(given)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("activity", "takes a function decorated with @app.orchestrator.* <activity 'work'>"),
        ("orchestrator", "takes a function decorated with @app.activity.* <orchestrator 'child'>"),
        ("plain", "takes a function decorated with @app.activity.* 'plain' is not decorated"),
        ("number", "takes a function decorated with @app.activity.* got 5"),
    ],
)
async def test_bad_input_is_refused_whole_calls_of_the_wrong_kind(
    test: TestHost, how: str, message: str
) -> None:
    with pytest.raises(OrchestrationFailedError, match=message):
        await test.run("confused", how)


async def test_bad_input_is_refused_whole_a_start_of_an_activity(app: App, test: TestHost) -> None:
    given: Any = app.activities["work"]
    with pytest.raises(InputError, match=r"client\.start takes a function decorated"):
        await test.client.start(given, 1)


async def test_an_event_that_does_not_fit_is_named_and_waited_for_on(
    app: App, test: TestHost
) -> None:
    @app.orchestrator
    async def listen(ctx: Context) -> int:
        return await ctx.wait_for_external_event("Go", int)

    handle = await test.start(listen)
    await test.idle()
    message = r"^event 'Go': value at \$ does not fit: Expected `int`, found `str`$"
    with pytest.raises(PayloadError, match=message):
        await handle.raise_event("go", "five")
    assert await refused_events(test, handle.instance_id) == []
    await handle.raise_event("go", 5)
    assert await handle.result() == 5


async def test_a_failed_group_says_what_failed_in_it(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def group(ctx: Context) -> None:
        raise ExceptionGroup("two of them", [ValueError("first"), OSError("second")])

    with pytest.raises(
        OrchestrationFailedError, match=r"two of them.*ValueError: first; OSError: second"
    ):
        await test.run(group)


async def test_no_silent_drop_lost_events_can_be_read(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def tell(ctx: Context) -> None:
        ctx.send_event("nobody", "News", {"a": 1})

    await test.run(tell)
    await test.idle()
    (letter,) = await test.client.dead_letters()
    assert (letter.instance_id, letter.name, letter.data) == ("nobody", "News", {"a": 1})
    assert "does not exist" in letter.reason
    test.problems.clear()


def test_a_script_is_told_when_its_id_belongs_to_another_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app = App()

    @app.orchestrator
    async def one(ctx: Context, number: int) -> int:
        return number

    @app.orchestrator
    async def two(ctx: Context, number: int) -> int:
        return -number

    storage = f"sqlite:///{tmp_path / 'x.db'}"
    assert app.run(one, 5, instance_id="x", storage=storage) == 5
    assert app.run(one, 6, instance_id="x", storage=storage) == 5
    assert "attached to instance 'x'" in capsys.readouterr().err
    with pytest.raises(InputError, match="instance 'x' runs 'one', not 'two'"):
        app.run(two, 5, instance_id="x", storage=storage)
