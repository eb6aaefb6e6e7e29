"""``bad_input_is_refused_whole``: one clear error where it entered; nothing half done or lost.

At the client, inside orchestrators and activities, and at the store. Targets of commands, settings
and registration have tests of their own.
"""

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import apsw
import pytest

from tenuto import (
    App,
    Context,
    Host,
    InputError,
    InstanceFilter,
    InvalidInstanceIdError,
    OrchestrationFailedError,
    OrchestrationHandle,
    PayloadError,
    RetryPolicy,
    RuntimeStatus,
    SettingsError,
    StorageCorruptError,
    StorageVersionError,
    TenutoError,
    UnknownFunctionError,
)
from tenuto.testing import TestHost
from tests.support.inboxes import waiting_in
from tests.support.refused import refused_events

Whatever: TypeAlias = Any
"""What the types refuse, and a caller may give all the same."""

app = App()


@dataclass
class Trip:
    city: str
    days: int


@app.activity
def pack(trip: Trip) -> str:
    return f"{trip.days} shirts for {trip.city}"


@app.activity
def unstorable() -> object:
    return object()


@app.orchestrator
async def travel(ctx: Context, trip: Trip) -> str:
    return await ctx.call_activity(pack, trip)


@app.orchestrator
async def listen(ctx: Context) -> object:
    return await ctx.wait_for_external_event("item")


@app.orchestrator
async def listen_for_number(ctx: Context) -> int:
    return await ctx.wait_for_external_event("item", int)


@pytest.fixture
async def test() -> AsyncIterator[TestHost]:
    async with TestHost(app) as test:
        yield test
        # Whatever was refused, the host works and there is nothing half done.
        assert await test.run(travel, Trip("Rome", 3)) == "3 shirts for Rome"
        await test.idle()
        assert await waiting_in(test.host.engine.storage) == []


async def nothing_was_started(test: TestHost) -> bool:
    return [one async for one in test.client.query()] == []


# --- what a client gives ------------------------------------------------------------------------

BAD_IDS = [
    ("", "it has 0 characters; 1 to 256 are allowed"),
    ("x" * 257, "it has 257 characters; 1 to 256 are allowed"),
    ("a\\b", "it contains '\\\\'"),
    ("a#b", "it contains '#'"),
    ("a?b", "it contains '?'"),
    ("a\nb", "it contains '\\n'"),
    ("a\x00b", "it contains '\\x00'"),
    ("@counter@1", "a leading '@' is reserved for entities"),
    ("half \ud800", "it holds half of a surrogate pair"),
    (7, "it is no string, but of the type int"),
    (".", "it would stand for a folder"),
    ("..", "it would stand for a folder"),
    (" ", "it begins or ends with a blank"),
    (" a", "it begins or ends with a blank"),
    ("a ", "it begins or ends with a blank"),
    *[
        (f"a{one}b", f"it contains {one!a}")
        for one in "\u00a0\u00ad\u061c\u200b\u200e\u202e\u2028\u2029\u2066\u3000\ufeff\U000e0041"
    ],
]


@pytest.mark.parametrize(("instance_id", "reason"), BAD_IDS)
async def test_bad_input_is_refused_whole_ids(
    test: TestHost, instance_id: Whatever, reason: str
) -> None:
    """S57: everywhere that an id goes in."""
    client = test.client
    calls: list[Callable[[], Any]] = [
        lambda: client.start(listen, instance_id=instance_id),
        lambda: client.get_status(instance_id),
        lambda: client.wait(instance_id),
        lambda: client.raise_event(instance_id, "item"),
        lambda: client.terminate(instance_id),
        lambda: client.suspend(instance_id),
        lambda: client.resume(instance_id),
        lambda: client.restart(instance_id),
        lambda: client.purge(instance_id),
        lambda: client.history(instance_id),
    ]
    for call in calls:
        with pytest.raises(InvalidInstanceIdError, match=re.escape(reason)):
            await call()
    with pytest.raises(InvalidInstanceIdError):
        client.handle(instance_id)
    assert await nothing_was_started(test)


async def test_the_longest_id_is_fine(test: TestHost) -> None:
    longest = "ß" * 256
    handle = await test.start(listen, instance_id=longest)
    await handle.raise_event("item", 1)
    assert await handle.result() == 1
    assert (await handle.status()).instance_id == longest


async def test_bad_input_is_refused_whole_unknown_functions(test: TestHost) -> None:
    """S40."""
    with pytest.raises(UnknownFunctionError, match=r"named 'travle' is registered; did you mean"):
        await test.client.start("travle", Trip("Rome", 3))
    with pytest.raises(
        UnknownFunctionError, match=r"registered: .*listen, listen_for_number, travel"
    ):
        await test.client.start("zzz")
    assert await nothing_was_started(test)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "travel: it takes 1 argument"),
        ((Trip("Rome", 3), 2), "travel: it takes 1 argument"),
        (("Rome",), "argument 'trip' of travel.*is a str, but the annotation says Trip"),
        (({"city": "Rome", "days": 3},), "is a dict, but the annotation says Trip"),
        ((Trip("Rome", object()),), r"argument 'trip' of travel.*\$\.days"),  # type: ignore[arg-type]
    ],
)
async def test_bad_input_is_refused_whole_arguments_that_do_not_fit(
    test: TestHost, arguments: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(PayloadError, match=message):
        await test.client.start("travel", *arguments)
    assert await nothing_was_started(test)


class Unstorable:
    """No dataclass, no anything."""


@pytest.mark.parametrize(
    "value",
    [
        Unstorable(),
        {"deep": [1, {"er": Unstorable()}]},
        float("nan"),
        [float("inf")],
        {1, 2, Unstorable()},
        "\ud800",
        lambda: 1,
    ],
)
async def test_bad_input_is_refused_whole_values_that_cannot_be_stored(
    test: TestHost, value: Whatever
) -> None:
    handle = await test.start(listen)
    with pytest.raises(PayloadError, match=r"\$"):  # it names the place inside the value
        await handle.raise_event("item", value)
    assert (await handle.status()).runtime_status is RuntimeStatus.RUNNING
    await handle.raise_event("item", "fine")
    assert await handle.result() == "fine"


async def test_the_place_inside_a_value_is_named(test: TestHost) -> None:
    handle = await test.start(listen)
    with pytest.raises(PayloadError, match=r"\$\.deep\[1\]\.er"):
        await handle.raise_event("item", {"deep": [1, {"er": Unstorable()}]})
    await handle.terminate()


@pytest.mark.parametrize("name", ["", None, 7, b"item"])
async def test_bad_input_is_refused_whole_event_names(test: TestHost, name: Whatever) -> None:
    handle = await test.start(listen)
    with pytest.raises(InputError, match="an event needs a name, a non-empty string; got"):
        await handle.raise_event(name, 1)
    await handle.terminate()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tags": {"a": 1}}, "tags must map str to str"),
        ({"tags": ["a"]}, "tags must map str to str"),
        ({"version": 7}, "version must be a str or None, got 7"),
        ({"start_at": "tomorrow"}, "start_at must be an aware datetime, got 'tomorrow'"),
        ({"start_at": datetime(2030, 1, 1)}, "start_at must be an aware datetime"),  # noqa: DTZ001
        ({"reuse": "sometimes"}, "reuse must be one of IdReuse.WHEN_FINISHED, .*, got 'sometimes'"),
    ],
)
async def test_bad_input_is_refused_whole_options_of_a_start(
    test: TestHost, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        await test.client.start("listen", instance_id="x", **options)
    assert await nothing_was_started(test)


@pytest.mark.parametrize("verb", ["terminate", "suspend", "resume", "fail"])
async def test_bad_input_is_refused_whole_reasons(test: TestHost, verb: str) -> None:
    handle = await test.start(listen)
    with pytest.raises(InputError, match="reason must be a str or None, got 7"):
        await getattr(test.client, verb)(handle.instance_id, 7)
    await handle.terminate()


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"created_from": datetime(2026, 1, 1)}, "created_from must be an aware datetime"),  # noqa: DTZ001
        ({"created_to": "now"}, "created_to must be an aware datetime"),
        ({"statuses": ["running"]}, "statuses are members of RuntimeStatus, got 'running'"),
        ({"id_prefix": "\ud800"}, "id_prefix: cannot be stored: it has a lone surrogate"),
        ({"name": 5}, "name must be a str or None, got 5"),
        ({"id_prefix": b"a"}, "id_prefix must be a str or None, got b'a'"),
        ({"statuses": RuntimeStatus.RUNNING}, "statuses is a list of members of RuntimeStatus"),
        ({"statuses": "Running"}, "statuses is a list of members of RuntimeStatus"),
        ({"held": "no"}, "held must be True or False, got 'no'"),
        ({"payloads": 1}, "payloads must be True or False, got 1"),
        ({"name": "\udfff"}, "name: cannot be stored: it has a lone surrogate"),
    ],
)
async def test_bad_input_is_refused_whole_filters(
    test: TestHost, filters: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        _ = [one async for one in test.client.query(InstanceFilter(**filters))]
    with pytest.raises(InputError, match=message):
        await test.client.purge_many(InstanceFilter(**filters))


@pytest.mark.parametrize("which", [{}, "done", 7, []])
async def test_bad_input_is_refused_whole_what_is_no_filter(
    test: TestHost, which: Whatever
) -> None:
    with pytest.raises(InputError, match="said by an InstanceFilter, got"):
        _ = [one async for one in test.client.query(which)]
    for one in (which, None):
        with pytest.raises(InputError, match="said by an InstanceFilter, got"):
            await test.client.purge_many(one)  # type: ignore[arg-type]


@pytest.mark.parametrize("flag", ["yes", 1, None])
async def test_bad_input_is_refused_whole_flags(test: TestHost, flag: Whatever) -> None:
    handle = await test.start(listen)
    for call in (
        lambda: test.client.terminate(handle.instance_id, recurse=flag),
        lambda: handle.terminate(recurse=flag),
        lambda: test.client.purge(handle.instance_id, force=flag),
        lambda: test.client.purge_many(InstanceFilter(), force=flag),
    ):
        with pytest.raises(InputError, match="must be True or False, got"):
            await call()
    await handle.terminate()


async def test_an_event_of_another_type_is_refused_at_the_door_and_the_wait_stays_open(
    test: TestHost,
) -> None:
    handle = await test.start(listen_for_number)
    await test.idle()
    with pytest.raises(
        PayloadError, match=r"^event 'item': value at \$ does not fit: Expected `int`"
    ):
        await handle.raise_event("item", "not a number")
    assert await refused_events(test, handle.instance_id) == []
    await handle.raise_event("item", 7)
    assert await handle.result() == 7


# --- inside orchestrators and activities --------------------------------------------------------


async def fails_with(test: TestHost, message: str, body: Callable[[Context], Any]) -> None:
    """The body fails its orchestration with this message, and a caught error lets it go on."""
    name = f"bad_{len(app.orchestrators)}"

    @app.orchestrator(name=name)
    async def bad(ctx: Context, catch: bool) -> str:
        try:
            await body(ctx)
        except TenutoError as error:
            if not catch:
                raise
            return str(error)
        return "nothing was wrong"

    handle: OrchestrationHandle[str] = await test.start(bad, False)
    with pytest.raises(OrchestrationFailedError, match=message):
        await handle.result()
    assert re.search(message, await test.run(bad, True))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (lambda ctx: ctx.create_timer(timedelta(seconds=-1)), "a delay must not be negative"),
        (lambda ctx: ctx.create_timer(timedelta.max), "is past the year 9999"),
        (lambda ctx: ctx.create_timer(5), "takes a datetime or a timedelta, got 5"),
        (lambda ctx: ctx.create_timer(datetime(2030, 1, 1)), "has no time zone"),  # noqa: DTZ001
        (
            lambda ctx: ctx.wait_for_external_event("x", timeout=timedelta(seconds=-1)),
            "a delay must not be negative",
        ),
        (lambda ctx: ctx.wait_for_external_event(""), "takes the event's name"),
        (lambda ctx: ctx.send_event("a#b", "x"), "it contains '#'"),
        (lambda ctx: ctx.send_event("x", ""), "takes the event's name"),
        (lambda ctx: ctx.send_event("x", "y", Unstorable()), r"\$"),
        (lambda ctx: ctx.set_custom_status(Unstorable()), r"\$"),
        (lambda ctx: ctx.continue_as_new(1, 2, 3), "takes 1 argument"),
        (lambda ctx: ctx.call_activity(pack, "Rome"), "is a str, but the annotation says Trip"),
        (lambda ctx: ctx.call_activity(pack), "pack: it takes 1 argument"),
        (lambda ctx: ctx.call_activity("nobody", 1, 2), "give one value, got 2"),
        (lambda ctx: ctx.call_activity("nobody", 1), "no activity named 'nobody' is registered"),
        (lambda ctx: ctx.call_sub_orchestrator("nobody"), "no orchestrator named 'nobody'"),
        (
            lambda ctx: ctx.call_sub_orchestrator("listen", instance_id="a?b"),
            r"it contains '\?'",
        ),
        (
            lambda ctx: ctx.call_sub_orchestrator("listen", instance_id=ctx.instance_id),
            "a child cannot have its parent's own id",
        ),
        (lambda ctx: ctx.task_any([]), "task_any needs at least one task"),
        (lambda ctx: ctx.call_activity(unstorable), "PayloadError"),
    ],
)  # fmt: skip
async def test_bad_input_is_refused_whole_in_an_orchestrator(
    test: TestHost, body: Callable[[Context], Any], message: str
) -> None:
    """S10, S41: it fails at the call, and whoever catches it goes on."""

    async def awaited(ctx: Context) -> None:
        outcome = body(ctx)
        if outcome is not None:
            await outcome

    await fails_with(test, message, awaited)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_attempts": 0}, "max_attempts must be >= 1, got 0"),
        ({"max_attempts": True}, "max_attempts must be an int"),
        ({"max_attempts": 3, "first_interval": timedelta(seconds=-1)}, "must not be negative"),
        ({"max_attempts": 3, "max_interval": 5}, "max_interval must be a timedelta"),
        ({"max_attempts": 3, "timeout": timedelta(seconds=-1)}, "timeout must not be negative"),
        ({"max_attempts": 3, "backoff": 0.5}, "backoff must be >= 1"),
        ({"max_attempts": 3, "backoff": float("nan")}, "backoff must be >= 1"),
    ],
)
def test_bad_input_is_refused_whole_retry_policies(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        RetryPolicy(**arguments)


# --- stores -------------------------------------------------------------------------------------


async def refused(url: str, error: type[TenutoError], message: str) -> None:
    with pytest.raises(error, match=message):
        await Host(app, url).start()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://localhost", "names no database"),
        ("travel.db", "'travel.db' is not understood; write sqlite:///"),
        ("sqlite:travel.db", "is not understood"),
        ("sqlite:///x.db?mode=ro", r"no parameters"),
        ("mysql://x", "is not understood"),
        ("", "is not understood"),
    ],
)
async def test_bad_input_is_refused_whole_storage_urls(url: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Host(app, url)


async def test_bad_input_is_refused_whole_stores_that_are_none(tmp_path: Path) -> None:
    """A folder, a missing folder, a text, somebody else's database: each is left alone."""
    await refused(f"sqlite:///{tmp_path}", SettingsError, "it is a folder")
    missing = tmp_path / "missing" / "hub.db"
    await refused(f"sqlite:///{missing}", SettingsError, "missing' does not exist; create it")
    assert not missing.parent.exists()

    text = tmp_path / "notes.txt"
    text.write_text("just some notes\n" * 500)
    before = text.read_bytes()
    await refused(f"sqlite:///{text}", StorageCorruptError, "damaged or not a Tenuto store")
    assert text.read_bytes() == before

    other = tmp_path / "other.db"
    connection = apsw.Connection(str(other))
    connection.execute("CREATE TABLE customer (name TEXT)")
    connection.close()
    await refused(f"sqlite:///{other}", StorageCorruptError, "database of another program.*left al")


async def test_bad_input_is_refused_whole_a_store_of_a_newer_version(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'hub.db'}"
    async with Host(app, url) as host:
        await host.client.start(listen, instance_id="waiting")
    connection = apsw.Connection(str(tmp_path / "hub.db"))
    version = connection.pragma("user_version")
    connection.pragma("user_version", 999)
    connection.close()
    await refused(url, StorageVersionError, "has schema 999, written by a newer Tenuto.*Upgrade")
    connection = apsw.Connection(str(tmp_path / "hub.db"))
    connection.pragma("user_version", version)
    connection.close()
    async with Host(app, url) as host:  # it was left alone
        await host.client.raise_event("waiting", "item", 1)
        assert await host.client.handle("waiting").result() == 1


async def test_a_host_that_is_not_running_says_so() -> None:
    host = Host(app, "sqlite://")
    with pytest.raises(TenutoError, match="the host is not running; use `async with Host"):
        _ = host.client
    async with host:
        client = host.client
    with pytest.raises(TenutoError, match="the host is not running"):
        _ = host.client
    with pytest.raises(TenutoError, match=r"stopping|closed"):
        await client.start(listen)
