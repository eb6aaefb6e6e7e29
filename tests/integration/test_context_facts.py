"""What the context tells an orchestrator, the same in every replay."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID

import pytest

from tenuto import App, Context, GuardError, InputError, OrchestrationFailedError, RuntimeStatus
from tenuto.model.errors import SessionDiscarded
from tenuto.testing import TestHost
from tests.support.replaying_observer import ForgetfulObserver

Json: TypeAlias = Any


async def test_identity_and_labels(app: App, test: TestHost) -> None:
    @app.orchestrator(name="TheName", version="1.4")
    async def parent(ctx: Context) -> list[Json]:
        await ctx.create_timer(timedelta(minutes=1))
        return [
            ctx.instance_id,
            ctx.execution_id,
            ctx.name,
            ctx.version,
            ctx.parent_instance_id,
            ctx.tags,
        ]

    handle = await test.start(parent, instance_id="the-id", tags={"team": "sea"})
    result = await handle.result()
    status = await handle.status()
    assert result == [
        "the-id",
        status.execution_id,
        "TheName",
        "1.4",
        None,
        {"team": "sea"},
    ]
    assert (status.name, status.version, dict(status.tags)) == ("TheName", "1.4", {"team": "sea"})


async def test_current_time_stands_still_within_a_turn_and_is_that_of_its_turn(
    app: App, test: TestHost
) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> list[datetime]:
        first = ctx.current_time
        await asyncio.sleep(0)
        assert ctx.current_time == first
        assert first.tzinfo is UTC
        await ctx.create_timer(timedelta(hours=1))
        second = ctx.current_time
        await ctx.create_timer(timedelta(days=1))
        return [first, second, ctx.current_time]

    assert await test.run(parent) == [
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 2, 1, tzinfo=UTC),
    ]


async def test_replaying_is_seen_exactly_where_code_runs_again(
    app: App, test: TestHost, mode: str
) -> None:
    seen: list[tuple[str, bool]] = []

    @app.activity
    def work() -> None:
        return

    @app.orchestrator
    async def parent(ctx: Context) -> None:
        seen.append(("begin", ctx.is_replaying))
        await ctx.call_activity(work)
        seen.append(("middle", ctx.is_replaying))
        await ctx.call_activity(work)
        seen.append(("end", ctx.is_replaying))

    await test.run(parent)
    first_runs = [name for name, replaying in seen if not replaying]
    assert first_runs == ["begin", "middle", "end"]
    if mode == "replayed":
        assert isinstance(test.observer, ForgetfulObserver)
        assert test.observer.forgotten >= 2
        assert seen.count(("begin", True)) == 2
    else:
        assert not any(replaying for _, replaying in seen)


async def test_a_log_line_is_written_once_and_names_its_instance(
    app: App, test: TestHost, caplog: pytest.LogCaptureFixture
) -> None:
    """S13, S2: with live sessions and with replay."""

    @app.activity
    def work() -> None:
        return

    @app.orchestrator
    async def parent(ctx: Context, name: str) -> None:
        for number in range(3):
            ctx.logger.info("step %d of %s", number, name)
            await ctx.call_activity(work)
        ctx.logger.warning("the end", extra={"order": 7})

    with caplog.at_level(logging.INFO):
        await test.run(parent, "Ada", instance_id="logged")
        await test.idle()
    lines = [record for record in caplog.records if record.name.startswith("tenuto.orch")]
    assert [record.getMessage() for record in lines] == [
        "step 0 of Ada",
        "step 1 of Ada",
        "step 2 of Ada",
        "the end",
    ]
    assert {getattr(record, "instance_id", None) for record in lines} == {"logged"}
    assert lines[-1].levelno == logging.WARNING
    assert getattr(lines[-1], "order", None) == 7


async def test_no_log_line_of_a_turn_is_shown_before_its_commit_durable_before_visible(
    app: App, test: TestHost, caplog: pytest.LogCaptureFixture
) -> None:
    """Told apart by the number of commits at the moment the line appears."""
    commits_at_line: list[int] = []

    class Note(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            commits_at_line.append(len(test.observer.commits))

    @app.orchestrator
    async def parent(ctx: Context) -> None:
        ctx.logger.info("in the first turn")

    logger = logging.getLogger("tenuto.orchestration")
    handler = Note()
    logger.addHandler(handler)
    try:
        with caplog.at_level(logging.INFO):
            await test.run(parent)
            await test.idle()
    finally:
        logger.removeHandler(handler)
    assert commits_at_line == [1]


async def test_random_numbers_and_uuids_are_the_same_in_every_replay(
    app: App, test: TestHost
) -> None:
    """S12: many calls differ; before and after replay they are equal."""
    runs: list[list[Json]] = []

    @app.orchestrator
    async def parent(ctx: Context) -> list[str]:
        seen: list[Json] = []
        runs.append(seen)
        for _ in range(5):
            seen += [ctx.new_uuid(), ctx.random.random(), ctx.random.randint(0, 10**9)]
            await ctx.create_timer(timedelta(minutes=1))
        return [str(one) for one in seen]

    first, second = await test.run(parent), await test.run(parent)
    assert len(set(first)) == len(first)
    assert not set(first) & set(second)
    assert all(UUID(text).version == 5 for text in first[::3])
    longest = [run for run in runs if len(run) == 15]
    for run in runs:
        assert any(run == whole[: len(run)] for whole in longest)


async def test_a_new_execution_draws_new_numbers(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> list[Json]:
        return [str(ctx.new_uuid()), ctx.random.random()]

    first = await test.run(parent, instance_id="same")
    second = await test.run(parent, instance_id="same")
    assert first != second


@pytest.mark.parametrize("value", ["a text", {"done": 3, "of": [1, None]}, 0, "", False, ["ä"]])
async def test_custom_status_is_seen_before_the_end_and_kept_after_it(
    app: App, test: TestHost, value: Json
) -> None:
    """S14."""

    @app.orchestrator
    async def parent(ctx: Context) -> None:
        ctx.set_custom_status("overwritten in the same turn")
        ctx.set_custom_status(value)
        await ctx.wait_for_external_event("go")

    handle = await test.start(parent)
    assert (await handle.status()).custom_status == value
    await handle.raise_event("go")
    await handle.result()
    status = await handle.status()
    assert status.custom_status == value
    assert type(status.custom_status) is type(value)


async def test_custom_status_changes_from_turn_to_turn_and_none_clears_it(
    app: App, test: TestHost
) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> None:
        for value in (1, None, {"last": True}):
            ctx.set_custom_status(value)
            await ctx.create_timer(timedelta(hours=1))
        await ctx.create_timer(timedelta(hours=1))

    handle = await test.start(parent)
    seen = []
    for _ in range(4):
        seen.append((await handle.status()).custom_status)
        await test.advance(timedelta(hours=1))
    assert seen == [1, None, {"last": True}, {"last": True}]


async def test_custom_status_survives_restart_and_crash(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> None:
        ctx.set_custom_status("waiting")
        await ctx.wait_for_external_event("go")

    handle = await test.start(parent)
    await test.restart()
    assert (await handle.status()).custom_status == "waiting"
    await test.crash()
    assert (await handle.status()).custom_status == "waiting"


async def test_custom_status_set_before_a_failure_is_kept(app: App, test: TestHost) -> None:
    """S43."""

    @app.orchestrator
    async def parent(ctx: Context) -> None:
        ctx.set_custom_status("about to fail")
        raise ValueError("as announced")

    handle = await test.start(parent)
    with pytest.raises(OrchestrationFailedError):
        await handle.result()
    status = await handle.status()
    assert status.runtime_status is RuntimeStatus.FAILED
    assert status.custom_status == "about to fail"


async def test_what_cannot_be_stored_is_refused_where_it_is_given(app: App, test: TestHost) -> None:
    @app.activity
    def take(value: Json) -> None:
        return

    @app.orchestrator
    async def parent(ctx: Context) -> list[str]:
        def status() -> None:
            ctx.set_custom_status({"deep": [1, object()]})

        def activity() -> None:
            _ = ctx.call_activity(take, {"deep": [1, object()]})

        def event() -> None:
            ctx.send_event("other", "name", {"deep": [1, object()]})

        messages = []
        for attempt in (status, activity, event):
            try:
                attempt()
            except InputError as error:
                messages.append(str(error))
        return messages

    messages = await test.run(parent)
    assert len(messages) == 3
    for message in messages:
        assert "deep" in message
        assert "1" in message


async def test_a_context_that_escaped_its_orchestrator_is_refused(
    app: App, test: TestHost, mode: str
) -> None:
    escaped: list[Context] = []

    @app.activity
    def work() -> None:
        return

    @app.orchestrator
    async def parent(ctx: Context) -> None:
        escaped.append(ctx)
        await ctx.wait_for_external_event("go")

    handle = await test.start(parent)
    await test.idle()
    with pytest.raises(SessionDiscarded if mode == "replayed" else GuardError):
        _ = escaped[0].call_activity(work)
    await handle.raise_event("go")
    await handle.result()


async def test_what_it_does_not_have_cannot_be_set(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> None:
        ctx.custom_status = "half"  # type: ignore[attr-defined]

    with pytest.raises(OrchestrationFailedError, match="no attribute 'custom_status'"):
        await test.run(parent)
