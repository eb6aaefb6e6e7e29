"""What the packages' own clients ask their host, on the mount that is made for them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.interop.http.native_app import native_app
from tests.interop.http.package_client import Calls, PackageError, entity, package_client
from tests.support.http_server import Serving, serving

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
SOON = timedelta(days=1)


def as_sent(calls: Calls, value: str) -> str:
    """A text as it arrives: the package for Python sends the JSON of what it is given as a text."""
    return f'"{value}"' if calls.is_python else value


# --- starting -------------------------------------------------------------------------------------


async def test_an_instance_is_started_under_an_id_with_a_version(
    serve: Serving, calls: Calls
) -> None:
    started = await calls.start("hello", "Ada", instance_id="my id", version="1.0 beta")
    assert started == "my id"
    assert (await serve.ended("my id"))["output"] == {"hello": as_sent(calls, "Ada")}
    record = await serve.server.host.client.gateway.get(started)
    assert record is not None
    assert record.version == "1.0 beta"


async def test_a_fresh_id_comes_back(serve: Serving, calls: Calls) -> None:
    started = await calls.start("counts")
    assert (await serve.ended(started))["output"] == 3


async def test_an_input_that_is_missing_is_none_where_it_may_be_left_out(
    serve: Serving, calls: Calls
) -> None:
    assert (await serve.ended(await calls.start("counts")))["input"] is None
    started = await calls.start("hello")
    # The package for JavaScript sends an empty text, and this orchestrator takes texts.
    assert (await serve.ended(started))["input"] == (None if calls.is_python else "")


async def test_an_unknown_function_is_named_in_what_is_raised(calls: Calls) -> None:
    with pytest.raises(PackageError, match="no orchestrator named 'nope' is registered"):
        await calls.start("nope")


async def test_an_id_that_runs_already_is_refused(calls: Calls) -> None:
    await calls.start("waits", instance_id="w")
    with pytest.raises(PackageError, match="'w' already exists"):
        await calls.start("waits", instance_id="w")


# --- asking ---------------------------------------------------------------------------------------


async def test_a_status_has_what_the_package_needs(serve: Serving, calls: Calls) -> None:
    await calls.start("waits", instance_id="w")
    running = await calls.status("w")
    assert (running["name"], running["runtimeStatus"]) == ("waits", "Running")
    await calls.start("fails", instance_id="f")
    await serve.server.host.client.gateway.wait((await serve.ended("f"))["instanceId"])
    failed = await calls.status("f")
    assert failed["runtimeStatus"] == "Failed"
    assert "f cannot be done" in failed["output"]


async def test_a_history_is_found_where_the_package_looks_for_it(
    serve: Serving, calls: Calls
) -> None:
    await calls.start("hello", "Ada", instance_id="a")
    await serve.ended("a")
    assert not (await calls.status("a")).get("history")
    shown = await calls.status("a", everything=True)
    assert [one["EventType"] for one in shown["history"]] == [
        "ExecutionStarted",
        "ExecutionCompleted",
    ]
    assert shown["history"][0]["Input"] == shown["input"] == as_sent(calls, "Ada")
    assert shown["history"][1]["Result"] == shown["output"]


async def test_who_is_not_there_has_no_status(calls: Calls) -> None:
    if calls.is_python:
        assert await calls.status("nobody") is None
    else:
        with pytest.raises(PackageError, match=r"404.*'nobody' does not exist"):
            await calls.status("nobody")


async def test_all_instances_are_listed_however_many_there_are(
    serve: Serving, calls: Calls
) -> None:
    ids = {f"one-{number}" for number in range(130)}
    for one in ids:
        await serve.start("counts", instance_id=one)
    assert {one["instanceId"] for one in await calls.every()} == ids


async def test_instances_are_found_by_time_and_status(serve: Serving, calls: Calls) -> None:
    await calls.start("waits", instance_id="w")
    await calls.start("counts", instance_id="c")
    await serve.ended("c")
    now = datetime.now(UTC)

    async def found(**filters: Any) -> set[str]:
        return {one["instanceId"] for one in await calls.fitting(**filters)}

    assert await found(since=LONG_AGO, until=now + SOON, statuses=["Running"]) == {"w"}
    assert await found(since=LONG_AGO, statuses=["Running", "Completed"]) == {"w", "c"}
    assert await found(since=now + SOON) == set()


@pytest.mark.parametrize("language", ["python", "javascript"])
async def test_what_is_too_long_for_one_answer_is_refused_to_who_knows_no_pages(
    language: str,
) -> None:
    async with serving(native_app(), page_bytes=4_000) as serve, package_client(language) as client:
        binding = serve.server.host.client_binding(None)
        assert binding is not None
        await client.take(binding)
        calls = Calls(client)
        for number in range(30):
            await serve.start("counts", instance_id=f"one-{number}")
        if calls.is_python:
            with pytest.raises(PackageError, match="413"):
                await calls.every()
        else:
            assert len(await calls.every()) == 30
        assert [one["instanceId"] for one in await calls.fitting(statuses=["Failed"])] == []


# --- steering -------------------------------------------------------------------------------------


async def test_events_are_raised_with_data_and_without(serve: Serving, calls: Calls) -> None:
    for name, data in (("with", [{"a": 1}]), ("without", [])):
        await calls.start("waits", instance_id=name)
        await calls.raise_event(name, "Go", *data)
    outputs = [(await serve.ended(name))["output"] for name in ("with", "without")]
    assert outputs == (['{"a": 1}', "null"] if calls.is_python else [{"a": 1}, None])


async def test_an_event_for_what_has_ended_or_is_not_there(serve: Serving, calls: Calls) -> None:
    await calls.start("counts", instance_id="c")
    await serve.ended("c")
    with pytest.raises(PackageError, match="nobody"):
        await calls.raise_event("nobody", "Go", 1)
    if calls.is_python:
        with pytest.raises(PackageError, match="is gone"):
            await calls.raise_event("c", "Go", 1)
    else:
        await calls.raise_event("c", "Go", 1)


async def test_instances_are_suspended_resumed_and_terminated(serve: Serving, calls: Calls) -> None:
    await calls.start("waits", instance_id="w")
    for word, status in (
        ("suspend", "Suspended"),
        ("resume", "Running"),
        ("terminate", "Terminated"),
    ):
        await calls.tell(word, "w", "why not? a&b")
        assert (await calls.status("w"))["runtimeStatus"] == status
    assert (await serve.ended("w"))["output"] == "why not? a" + "&b" * calls.is_python
    for word in ("suspend", "resume", "terminate"):
        await calls.tell(word, "w", "again")  # both packages take it for done
        with pytest.raises(PackageError, match="No instance with ID 'nobody' found"):
            await calls.tell(word, "nobody", "why")


async def test_a_rewind_says_that_it_cannot_be_done_yet(calls: Calls) -> None:
    with pytest.raises(PackageError, match="cannot do that yet"):
        await calls.tell("rewind", "w", "why")


async def test_an_instance_is_restarted_and_its_id_comes_back(serve: Serving, calls: Calls) -> None:
    if not calls.is_python:
        return  # the package for JavaScript has nothing of the kind
    await calls.start("hello", "Ada", instance_id="a")
    await serve.ended("a")
    fresh = await calls.client.call("restart", "a")
    assert fresh != "a"
    assert (await serve.ended(fresh))["output"] == {"hello": '"Ada"'}
    assert await calls.client.call("restart", "a", restart_with_new_instance_id=False) == "a"
    with pytest.raises(PackageError, match="No instance with ID 'nobody' found"):
        await calls.client.call("restart", "nobody")


# --- deleting -------------------------------------------------------------------------------------


async def test_only_what_has_ended_is_purged(serve: Serving, calls: Calls) -> None:
    await calls.start("waits", instance_id="w")
    await calls.start("counts", instance_id="c")
    await serve.ended("c")
    deleted = [(await calls.purge(one))["instancesDeleted"] for one in ("w", "nobody", "c")]
    assert deleted == [0, 0, 1]
    assert (await calls.status("w"))["runtimeStatus"] == "Running"


async def test_many_are_purged_by_time_and_status(serve: Serving, calls: Calls) -> None:
    async def purged(**filters: Any) -> int:
        found: int = (await calls.purge_fitting(since=LONG_AGO, **filters))["instancesDeleted"]
        return found

    await calls.start("waits", instance_id="w")
    for name in ("counts", "fails"):
        await calls.start(name, instance_id=name)
        await serve.ended(name)
    assert await purged(until=LONG_AGO + SOON) == 0
    assert await purged(statuses=["Running"]) == 0
    assert await purged(statuses=["Running", "Failed"]) == 1
    assert await purged(until=datetime.now(UTC) + SOON) == 1
    assert [one["instanceId"] for one in await calls.every()] == ["w"]


async def test_all_are_purged_where_the_package_allows_it(serve: Serving, calls: Calls) -> None:
    await calls.start("counts", instance_id="c")
    await serve.ended("c")
    if calls.is_python:
        with pytest.raises(PackageError, match="created_time_from is required"):
            await calls.purge_fitting()
    else:
        assert await calls.purge_fitting() == {"instancesDeleted": 1}


# --- what is not there ----------------------------------------------------------------------------


async def test_entities_are_refused_with_a_status_that_says_so(calls: Calls) -> None:
    read, signal = (
        ("read_entity_state", "signal_entity")
        if calls.is_python
        else ("readEntityState", "signalEntity")
    )
    options: list[Any] = ["hub", "connection"] if calls.is_python else [{"taskHubName": "hub"}]
    with pytest.raises(PackageError, match="501"):
        await calls.client.call(read, entity("Counter", "a"), *options)
    with pytest.raises(PackageError, match="501"):
        await calls.client.call(signal, entity("Counter", "a"), "add", 1, *options)
