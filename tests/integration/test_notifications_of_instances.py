"""Life-cycle notifications: what becomes of instances, told to whom the settings name."""

import asyncio
import base64
import hashlib
import hmac
import json
import subprocess
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tenuto import App, Context, Event, InputError, RegistrationError, Settings, SettingsError
from tenuto.client.starting import StartOptions, start_request
from tenuto.host.host import Host
from tenuto.host.notifications.options import NotificationSettings, NotificationTarget
from tenuto.host.settings import load_settings
from tenuto.model.ids import ExecutionId
from tenuto.model.limits import Limits
from tenuto.model.notices import TOPIC, NoticeKind
from tenuto.testing import TestHost
from tests.support.answering_server import AnsweringServer, Asked, Reply, answering_server
from tests.support.terminal import tenuto_here
from tests.support.waiting import until, until_given

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
OTHER = "whsec_" + base64.b64encode(KEY[::-1]).decode()

app = App()


@app.activity
def fail() -> None:
    raise ValueError("no paper")


@app.orchestrator
async def fine(ctx: Context, number: int) -> int:
    return number


@app.orchestrator
async def fails(ctx: Context) -> None:
    await ctx.call_activity(fail)


@app.orchestrator
async def waits(ctx: Context) -> str:
    return await ctx.wait_for_external_event("go", str)


@app.orchestrator
async def parent(ctx: Context) -> int:
    return await ctx.call_sub_orchestrator(fine, 7)


@app.orchestrator
async def again(ctx: Context, number: int) -> int:
    await ctx.create_timer(timedelta(seconds=1))
    if number:
        ctx.continue_as_new(number - 1)
    return number


def settings(**targets: NotificationTarget) -> Settings:
    return Settings(notifications=NotificationSettings(hub="shop", targets=targets))


def hooked(url: str, **more: Any) -> Settings:
    return settings(
        ops=NotificationTarget(webhook=f"{url}/hook", secret_variable="OPS_SECRET", **more)
    )


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_SECRET", SECRET)


def told(server: AnsweringServer) -> list[tuple[str, str]]:
    found = [json.loads(one.body)["data"] for one in server.asked]
    return [(one["instanceId"], one["kind"]) for one in found]


async def test_each_change_of_an_instance_is_told_once_and_in_order() -> None:
    async with answering_server(lambda _asked: Reply(204)) as server:
        async with TestHost(app, settings=hooked(server.url)) as test:
            client = test.client
            await client.start(fine, 1, instance_id="a", tags={"customer": "ada"})
            await client.start(fails, instance_id="b")
            waiting = await client.start(waits, instance_id="c")
            await test.advance(timedelta(seconds=1))
            await waiting.suspend()
            await waiting.resume()
            await waiting.suspend()
            await waiting.resume()
            await waiting.terminate('it is "enough"')
            await client.start(again, 2, instance_id="d")
            await client.start(parent, instance_id="e")
            await test.advance(timedelta(seconds=10))
            assert await client.handle("e").result() == 7
        expected = {
            "a": ["started", "completed"],
            "b": ["started", "failed"],
            "c": ["started", *(["suspended", "resumed"] * 2), "terminated"],
            "d": ["started", "completed"],
            "e": ["started", "completed"],
        }
        found: dict[str, list[str]] = {}
        for instance_id, kind in told(server):
            found.setdefault(instance_id, []).append(kind)
        assert found == expected
        bodies = [json.loads(one.body) for one in server.asked]
        assert len({one["id"] for one in bodies}) == len(bodies)
        failed = next(one for one in bodies if one["data"]["kind"] == "failed")
        assert failed["type"] == "tenuto.instance.failed"
        assert (failed["source"], failed["subject"]) == ("/hubs/shop", "b")
        assert "no paper" in failed["data"]["reason"]
        ended = next(one for one in bodies if one["data"]["kind"] == "terminated")
        assert ended["data"]["reason"] == 'it is "enough"'
        first = next(one for one in bodies if one["subject"] == "a")
        assert first["data"] == {
            "kind": first["data"]["kind"],
            "instanceId": "a",
            "executionId": first["data"]["executionId"],
            "name": "fine",
            "rootId": "a",
            "eventTime": first["time"],
            "tags": {"customer": "ada"},
        }


async def test_a_webhook_is_signed_with_each_secret_anew_for_each_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPS_SECRET", f"{OTHER} {SECRET}")
    replies = [Reply(500), Reply(302, headers=[("location", "/other")]), Reply(204)]
    async with answering_server(lambda _asked: replies.pop(0)) as server:
        target = hooked(server.url, events=(NoticeKind.COMPLETED,))
        async with TestHost(app, settings=target) as test:
            await test.client.start(fine, 1, instance_id="a")
            await test.advance(timedelta(seconds=10))
    first, *others = server.asked
    assert len(others) == 2
    assert {one.body for one in others} == {first.body}
    times = [int(one.headers["webhook-timestamp"]) for one in server.asked]
    assert [time - times[0] for time in times] == [0, 1, 3]
    for one in server.asked:
        assert is_signed(one, KEY)
        assert is_signed(one, KEY[::-1])
        assert not is_signed(one, bytes(32))
        assert one.headers["webhook-id"] == json.loads(one.body)["id"]
        assert one.headers["content-type"] == "application/cloudevents+json; charset=utf-8"


def is_signed(asked: Asked, key: bytes) -> bool:
    """As a receiver sees it (standardwebhooks.com)."""
    head = asked.headers
    content = f"{head['webhook-id']}.{head['webhook-timestamp']}.{asked.body}".encode()
    wanted = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return f"v1,{wanted}" in head["webhook-signature"].split()


async def test_only_what_fits_is_told() -> None:
    everything = NotificationTarget(queue="all", children=True)
    failures = NotificationTarget(queue="failures", events=(NoticeKind.FAILED,))
    named = NotificationTarget(queue="named", functions=("fi*", "parent"))
    tagged = NotificationTarget(queue="tagged", tags={"customer": "ada"})
    chosen = settings(a=everything, b=failures, c=named, d=tagged)
    async with TestHost(app, settings=chosen) as test:
        client = test.client
        await client.start(fine, 1, instance_id="a", tags={"customer": "ada", "of": "x"})
        await client.start(fine, 1, instance_id="b", tags={"customer": "eve"})
        await client.start(fails, instance_id="c")
        await client.start(parent, instance_id="d")
        await test.advance(timedelta(seconds=1))
        found = {
            name: await queued(test.host, name) for name in ("failures", "named", "tagged", "all")
        }
    assert found["failures"] == ["c failed"]
    assert found["named"] == sorted(f"{i} {k}" for i in "abd" for k in ("started", "completed"))
    assert found["tagged"] == ["a completed", "a started"]
    assert len(found["all"]) == 10
    assert len([one for one in found["all"] if one[0] not in "abcd" or one[1] != " "]) == 2


async def notices(host: Host, name: str) -> list[dict[str, Any]]:
    page = await host.engine.storage.queue_messages(name, 100, 1_000_000)
    return [json.loads(one.data)["data"] for one in page]


async def queued(host: Host, name: str) -> list[str]:
    return sorted(f"{one['instanceId']} {one['kind']}" for one in await notices(host, name))


async def test_a_topic_has_the_notices_as_its_events() -> None:
    heard: list[tuple[str | None, str | None, str | None]] = []
    listening = App()
    listening.orchestrator(fine.function)

    @listening.subscribe("instances")
    def hear(event: Event) -> None:
        heard.append((event.type, event.source, event.key))

    chosen = settings(a=NotificationTarget(topic="instances"))
    async with TestHost(listening, settings=chosen) as test:
        await test.client.start("fine", 1, instance_id="a")
        await test.advance(timedelta(seconds=1))
    assert heard == [
        ("tenuto.instance.started", "/hubs/shop", "a"),
        ("tenuto.instance.completed", "/hubs/shop", "a"),
    ]


async def test_event_grid_gets_what_durable_functions_sends() -> None:
    async with answering_server(lambda _asked: Reply(200)) as server:
        grid = NotificationTarget(
            event_grid=f"{server.url}/api/events", secret_variable="OPS_SECRET", children=True
        )
        async with TestHost(app, settings=settings(grid=grid)) as test:
            waiting = await test.client.start(waits, instance_id="c")
            await test.advance(timedelta(seconds=1))
            await waiting.suspend()
            await waiting.terminate("enough")
            await test.client.start(fails, instance_id="b")
            await test.advance(timedelta(seconds=1))
    events = [one for asked in server.asked for one in json.loads(asked.body)]
    assert sorted((one["data"]["instanceId"], one["subject"]) for one in events) == [
        ("b", "durable/orchestrator/Failed"),
        ("b", "durable/orchestrator/Running"),
        ("c", "durable/orchestrator/Running"),
        ("c", "durable/orchestrator/Terminated"),
    ]
    for one in events:
        assert (one["eventType"], one["dataVersion"]) == ("orchestratorEvent", "1.0")
        assert one["data"]["hubName"] == "shop"
        assert one["data"]["functionName"] in {"waits", "fails"}
        assert one["subject"].endswith(one["data"]["runtimeStatus"])
        if one["data"]["runtimeStatus"] != "Failed":
            is_ended = one["data"]["runtimeStatus"] == "Terminated"
            assert one["data"]["reason"] == ("enough" if is_ended else "")
    assert {asked.headers["aeg-sas-key"] for asked in server.asked} == {SECRET}


async def test_what_nobody_accepts_is_put_aside_and_the_others_go_on() -> None:
    def answer(asked: Asked) -> Reply:
        return Reply(500 if json.loads(asked.body)["subject"] == "bad" else 204)

    async with answering_server(answer) as server:
        target = hooked(server.url, attempts=3)
        async with TestHost(app, settings=target) as test:
            await test.client.start(fine, 1, instance_id="bad")
            await test.client.start(fine, 1, instance_id="good")
            await test.advance(timedelta(minutes=1))
            failed = await test.host.engine.storage.failed_deliveries()
    assert told(server).count(("good", "started")) == 1
    assert told(server).count(("bad", "started")) == 3
    assert [(one.function, one.attempts) for one in failed] == [("notifications.ops", 3)] * 2
    assert "answered 500" in failed[0].error
    assert SECRET not in failed[0].error


async def test_what_was_not_told_when_the_host_ended_is_told_by_the_next(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/store.db"
    async with answering_server(lambda _asked: Reply(503)) as server:
        chosen = hooked(server.url)
        async with Host(app, storage, settings=chosen) as host:
            await (await host.client.start(fine, 1, instance_id="a")).result()
            await until(lambda: bool(server.asked))
    async with answering_server(lambda _asked: Reply(204)) as server:
        chosen = hooked(server.url)
        async with Host(app, storage, settings=chosen):
            await until(lambda: len(server.asked) == 2)
        assert told(server) == [("a", "started"), ("a", "completed")]


async def test_what_is_held_is_told_with_its_reason(tmp_path: Path) -> None:
    storage, chosen = f"sqlite:///{tmp_path}/store.db", settings(a=NotificationTarget(queue="all"))
    async with Host(app, storage, settings=chosen) as host:
        await host.client.start(waits, instance_id="c")
        await until_given(partial(has_queued, host, 1))
    async with Host(App(), storage, settings=chosen) as host:
        await host.client.raise_event("c", "go", "gone")
        await until_given(partial(has_queued, host, 2))
    async with Host(app, storage, settings=chosen) as host:
        assert await host.client.handle("c").result() == "gone"
        await until_given(partial(has_queued, host, 3))
        assert await queued(host, "all") == ["c completed", "c held", "c started"]
        [held] = [one for one in await notices(host, "all") if one["kind"] == "held"]
    assert held["reason"].startswith("not_served: ")


async def has_queued(host: Host, count: int) -> bool:
    return len(await queued(host, "all")) == count


async def test_executions_of_one_id_have_notices_of_their_own() -> None:
    """Whoever starts an instance may choose the id of its execution, in any letters."""
    async with TestHost(app, settings=settings(a=NotificationTarget(queue="all"))) as test:
        for name in ("ä 1", "b", "x" * 90):
            options = StartOptions(instance_id=name, execution_id=ExecutionId("é" * 600))
            request = start_request(fine, "1", test.clock.now(), Limits(), options)
            await test.client.gateway.start(request)
        await test.advance(timedelta(seconds=1))
        assert len(await notices(test.host, "all")) == 6


async def test_without_targets_nothing_is_written() -> None:
    async with TestHost(app) as test:
        await (await test.client.start(fine, 1)).result()
        assert TOPIC not in await test.host.engine.storage.topic_names()


async def test_nobody_else_publishes_what_has_become_of_instances() -> None:
    async with TestHost(app) as test:
        for topic in (TOPIC, f"edge/{TOPIC}"):
            with pytest.raises(InputError, match="nobody publishes to topic"):
                await test.client.publish(topic, {"kind": "failed"})


WRONG = [
    ({}, "takes one of webhook, event_grid, topic, queue; it has none of them"),
    ({"topic": "a", "queue": "b"}, "it has topic and queue"),
    ({"webhook": "ops.example.com"}, "webhook: the address must begin with http"),
    ({"webhook": "https://ops.example.com"}, "secret_variable must name the variable"),
    (
        {"webhook": "https://ops.example.com", "secret_variable": "whsec_abc="},
        "secret_variable must name the variable",
    ),
    ({"queue": "a", "secret_variable": "X"}, "needs no secret_variable"),
    ({"queue": "a/b"}, "cannot be the name of a queue"),
    ({"topic": "tenuto.lifecycle"}, "Tenuto's own"),
    (
        {"event_grid": "https://a", "secret_variable": "X", "events": (NoticeKind.HELD,)},
        "not of held",
    ),
]


@pytest.mark.parametrize(("given", "words"), WRONG)
def test_a_target_that_cannot_be_used_is_refused_by_name(given: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=r"notifications\.targets\.ops: ") as refused:
        settings(ops=NotificationTarget(**given))
    assert words in str(refused.value)
    assert "whsec_" not in str(refused.value)


def test_targets_stand_in_the_file_of_settings(tmp_path: Path) -> None:
    path = tmp_path / "tenuto.toml"
    path.write_text(
        "[notifications.targets.ops]\nqueue = 'ops'\nevents = ['failed', 'held']\nattempts = 3\n"
    )
    found = load_settings(folder=tmp_path, environment={}).values.notifications
    assert found.targets["ops"].wanted == {NoticeKind.FAILED, NoticeKind.HELD}
    path.write_text("[notifications.targets.ops]\nqueue = 'ops'\nevents = ['exploded']\n")
    with pytest.raises(SettingsError, match="exploded"):
        load_settings(folder=tmp_path, environment={})


@pytest.mark.parametrize("value", ["", "hush-hush", "whsec_AAAA", "whsec_!!!"])
async def test_a_host_does_not_start_without_a_secret_that_can_be_used(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("OPS_SECRET", value)
    host = Host(app, "sqlite://", settings=hooked("http://127.0.0.1:9"))
    with pytest.raises(RegistrationError, match=r"notifications\.targets\.ops: ") as refused:
        await host.start()
    assert not value or value not in str(refused.value)


# --- for people ----------------------------------------------------------------------------------


def in_folder(folder: Path, url: str) -> None:
    (folder / "tenuto.toml").write_text(
        "[notifications.targets.ops]\n"
        f'webhook = "{url}/hook?token=of-ops"\n'
        'secret_variable = "OPS_SECRET"\n'
        'events = ["failed"]\nattempts = 1\n'
        '[notifications.targets.all]\nqueue = "all"\n'
    )


async def trying(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        tenuto_here, folder, "notifications", *words, env={"OPS_SECRET": SECRET}
    )


async def test_people_see_targets_and_try_them(tmp_path: Path) -> None:
    statuses = [204, 500, 500, 500]
    async with answering_server(lambda _asked: Reply(statuses.pop(0))) as server:
        in_folder(tmp_path, server.url)
        run = partial(trying, tmp_path)
        found = await run("test", "ops")
        assert (found.returncode, found.stdout.endswith("answered 204: accepted\n")) == (0, True)
        assert is_signed(server.asked[0], KEY)
        assert json.loads(server.asked[0].body)["subject"] == "tenuto-test"
        found = await run("test", "ops")
        assert (found.returncode, "not accepted" in found.stderr) == (1, True)
        found = await run("test", "ops", "--json")
        assert found.returncode == 1
        assert json.loads(found.stdout) == {"target": "ops", "status": 500, "isAccepted": False}
        assert "of-ops" not in found.stderr
        chosen = load_settings(folder=tmp_path, environment={}).values
        storage = f"sqlite:///{tmp_path}/tenuto.db"
        async with Host(app, storage, settings=chosen) as host:
            await host.client.start(fails)
            await until(lambda: not statuses)
            [failed] = await until_given(host.engine.storage.failed_deliveries)
        assert "of-ops" not in failed.error
        shown = await asyncio.to_thread(tenuto_here, tmp_path, "config", "--json")
        assert (shown.returncode, "of-ops" in shown.stdout) == (0, False)
        found = await run("list", "--storage", storage)
        assert [line.split()[0] for line in found.stdout.splitlines()] == ["TARGET", "all", "ops"]
        assert "tenuto topics redrive --all --subscription notifications.ops" in found.stderr
        found = await run("list", "--storage", storage, "--json")
        by_name = {one["name"]: one for one in json.loads(found.stdout)}
        assert by_name["ops"]["to"] == f"{server.url}/hook?hidden"
        assert (by_name["ops"]["failed"], by_name["ops"]["kind"]) == (1, "webhook")
        assert by_name["ops"]["events"] == ["failed"]
    found = await run("test", "ops")
    assert (found.returncode, "was not reached" in found.stderr) == (1, True)


@pytest.mark.parametrize(
    ("name", "words"), [("obs", "there is no target 'obs'"), ("all", "is a queue of the hub")]
)
def test_what_cannot_be_tried_says_so(tmp_path: Path, name: str, words: str) -> None:
    in_folder(tmp_path, "http://127.0.0.1:9")
    found = tenuto_here(tmp_path, "notifications", "test", name)
    assert found.returncode != 0
    assert words in found.stderr
