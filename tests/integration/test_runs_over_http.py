"""Runs over HTTP: steps, turns in words, time travel, and what people can send."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from msgspec import structs

from tenuto import App, Context, RetryPolicy
from tenuto.engine.ports import LoadedInstance
from tenuto.insight import travel
from tenuto.insight.past import Moment, Past
from tenuto.model.errors import InstanceNotFoundError
from tenuto.model.hold import Hold, HoldReason
from tenuto.model.ids import InstanceId
from tenuto.testing import TestHost
from tests.support.deployments import deployments
from tests.support.foreign_program import ForeignProgram
from tests.support.http_in_process import http_to
from tests.support.http_server import KEYS, READ_KEY, Serving, serving
from tests.support.waiting import until, until_given

RAN: list[str] = []
"""Activities that ran."""
app = App()


@dataclass
class Order:
    number: int
    note: str = ""


@app.activity
def greet(name: str) -> str:
    RAN.append(f"greet {name}")
    return f"Hello {name}!"


@app.activity(retry=RetryPolicy(max_attempts=3, first_interval=timedelta(seconds=10)))
def flaky() -> str:
    RAN.append("flaky")
    if RAN.count("flaky") < 3:
        raise OSError("no line")
    return "done"


@app.orchestrator
async def leaf(ctx: Context) -> str:
    return await ctx.call_activity(greet, "leaf")


@app.orchestrator
async def branch(ctx: Context) -> str:
    return await ctx.call_sub_orchestrator(leaf)


@app.orchestrator
async def tour(ctx: Context, name: str) -> str:
    ctx.logger.warning("on tour")
    greeting = await ctx.call_activity(greet, name)
    ctx.set_custom_status("greeted")
    await ctx.call_activity(flaky)
    await ctx.call_sub_orchestrator(branch)
    order = Order(7)
    question = ctx.ask("Ship?", choices=["yes", "no"], text="It is ready.")
    address = await question.url
    return await waited(ctx, greeting, [order], address)


async def waited(ctx: Context, greeting: str, orders: list[Order], address: str) -> str:
    event = await ctx.wait_for_external_event("paid", Order)
    return f"{greeting} {orders} {event} {address}"


@asynccontextmanager
async def on_tour() -> AsyncIterator[tuple[TestHost, httpx2.AsyncClient]]:
    """An instance ``one`` that waits for its event; with all time that passes for that."""
    RAN.clear()
    async with TestHost(app) as test, http_to(test, app) as http:
        await test.start(tour, "Ada", instance_id="one")
        await test.advance(timedelta(minutes=1))
        yield test, http


async def asked(http: httpx2.AsyncClient, path: str, instance_id: str = "one") -> Any:  # noqa: ANN401 - any JSON
    answer = await http.get(f"/admin/instances/{instance_id}/{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def linked(http: httpx2.AsyncClient) -> Any:  # noqa: ANN401 - any JSON
    """The forms of ``one``, once its question has its address and its event is awaited."""
    forms = await asked(http, "forms")
    return forms if len(forms) == 2 and forms[0]["url"] else None


async def stored(test: TestHost, instance_id: str = "one") -> LoadedInstance:
    storage = test.host.engine.storage
    record = await storage.get(InstanceId(instance_id))
    assert record is not None
    (found,) = await storage.load_instances([record.iid])
    return found


# --- runs -----------------------------------------------------------------------------------------


async def test_a_run_shows_its_steps_with_each_attempt_and_its_time() -> None:
    async with on_tour() as (_, http):
        run = await asked(http, "run")
    record = run["record"]
    assert (record["instanceId"], record["name"], record["status"]) == ("one", "tour", "Running")
    assert record["customStatus"] == '"greeted"'
    first, second, child, question, _, event = run["steps"]
    assert (first["kind"], first["state"], first["turn"], first["endedTurn"]) == (
        "activity", "completed", 1, 2,
    )  # fmt: skip
    assert "attempts" not in first, "it had but one"
    assert (second["attempt"], len(second["attempts"])) == (3, 3)
    begun = [one["begunAt"] for one in second["attempts"]]
    assert begun[1] - begun[0] >= 10_000_000
    assert second["attempts"][0]["failure"]["errorMessage"] == "no line"
    assert "failure" not in second["attempts"][2]
    assert (child["kind"], child["run"]["record"]["name"]) == ("orchestration", "branch")
    (grandchild,) = child["run"]["steps"]
    assert "run" not in grandchild, "one level is read unless more are asked for"
    assert question["url"].startswith("http")
    assert (event["kind"], event["name"], event["state"]) == ("event", "paid", "waiting")


async def test_a_step_tells_what_went_in_and_came_out_of_each_attempt() -> None:
    async with on_tour() as (test, http):
        first, second, *_, event = (await asked(http, "run"))["steps"]
        greeted = await asked(http, f"steps/{first['number']}")
        tried = await asked(http, f"steps/{second['number']}")
        await test.client.raise_event("one", "paid", {"number": 9})
        await test.idle()
        paid = await asked(http, f"steps/{event['number']}")
        raised = await http.get("/admin/instances/one/steps/-1")
        missing = await http.get("/admin/instances/one/steps/999")
    assert (greeted["number"], greeted["generation"]) == (first["number"], 0)
    scheduled, completed = greeted["events"]
    assert (scheduled["turn"], scheduled["at"]) == (first["turn"], first["begunAt"])
    assert scheduled["event"]["input"] == '"Ada"'
    assert (completed["turn"], completed["event"]["result"]) == (2, '"Hello Ada!"')
    assert [one["event"]["type"] for one in tried["events"]] == [
        *("TaskScheduled", "TaskFailed", "TimerCreated", "TimerFired") * 2,
        "TaskScheduled",
        "TaskCompleted",
    ]
    assert [one["event"]["type"] for one in paid["events"]][:1] == ["EventAwaited"]
    assert '{"number":9}' in {one["event"].get("input") for one in paid["events"]}
    assert raised.status_code == 200
    assert missing.status_code == 404
    assert "has no step 999" in missing.json()["message"]


async def test_a_run_is_read_so_many_levels_down_and_no_more_instances_than_asked_for() -> None:
    async with on_tour() as (_, http):
        deep = await asked(http, "run?levels=2")
        flat = await asked(http, "run?levels=0")
        few = await asked(http, "run?levels=2&most=2")
    names = [step["run"]["record"]["name"] for step in deep["steps"][2]["run"]["steps"]]
    assert names == ["leaf"]
    assert "run" not in flat["steps"][2]
    assert "run" not in few["steps"][2]["run"]["steps"][0]


@pytest.mark.parametrize("query", ["levels=21", "levels=x", "most=0", "most=1001"])
async def test_a_run_of_no_size_is_refused(query: str) -> None:
    async with serving(app) as serve:
        assert (await serve.http.get(f"/admin/instances/a/run?{query}")).status_code == 400


@pytest.mark.parametrize("path", ["run", "turns", "turns/1", "forms"])
async def test_what_is_not_there_is_not_found(path: str) -> None:
    async with serving(app) as serve:
        answer = await serve.http.get(f"/admin/instances/nobody/{path}")
        assert answer.status_code == 404
        assert answer.json()["code"] == InstanceNotFoundError.code


# --- turns ----------------------------------------------------------------------------------------


async def test_turns_are_told_in_words_page_by_page() -> None:
    async with on_tour() as (_, http):
        page = await asked(http, "turns?limit=2")
        rest = await asked(http, "turns?after=2")
        last = rest["turns"][-1]["turn"]
        after = await asked(http, f"turns?after={last}")
    assert page["generation"] == 0
    assert [(one["turn"], one["summary"]) for one in page["turns"]] == [
        (1, ["began tour", "called greet"]),
        (2, ["completed greet", "called flaky"]),
    ]
    assert page["turns"][0]["events"] == 2
    assert rest["turns"][0]["turn"] == 3
    assert rest["turns"][0]["summary"][0] == "failed flaky: OSError: no line"
    assert after["turns"] == []


# --- time travel ----------------------------------------------------------------------------------


async def test_after_each_turn_the_steps_the_status_and_the_code_are_those_of_then() -> None:
    async with on_tour() as (_, http):
        turns = (await asked(http, "turns"))["turns"]
        moments = [await asked(http, f"turns/{one['turn']}") for one in turns]
        run = await asked(http, "run?levels=0")
        back = [await asked(http, f"turns/{one['turn']}") for one in reversed(turns)]
    assert [one["turn"] for one in moments] == [one["turn"] for one in turns]
    assert [one["at"] for one in moments] == [one["at"] for one in turns]
    assert moments == back[::-1], "to and fro is the same"
    first, second = moments[0], moments[1]
    assert (first["arrived"], first["decided"]) == (["began tour"], ["called greet"])
    assert first["waits"] == [{"kind": "activity", "name": "greet", "number": 1}]
    assert "customStatus" not in first
    assert second["customStatus"] == '"greeted"'
    (frame,) = second["frames"]
    assert frame["function"] == "tour"
    assert {"name": "greeting", "value": '"Hello Ada!"', "type": "str"} in frame["variables"]
    lines = {one["line"]: one["text"].strip() for one in frame["source"]}
    assert lines[frame["line"]] == "await ctx.call_activity(flaky)"
    last = moments[-1]
    assert last["steps"] == run["steps"]
    assert [one["function"] for one in last["frames"]] == ["tour", "waited"]
    orders = {one["name"]: one["value"] for one in last["frames"][-1]["variables"]}["orders"]
    assert orders == '[{"number": 7, "note": ""}]'


async def test_looking_back_carries_nothing_out_and_the_instance_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with on_tour() as (test, http):
        before, ran, logged = await stored(test), list(RAN), len(caplog.records)
        children = len((await http.get("/admin/instances")).json()["records"])
        for turn in (1, len(before.turns), 2):
            await asked(http, f"turns/{turn}")
        await asked(http, "forms")
        assert ran == RAN
        assert await stored(test) == before
        assert len(caplog.records) == logged
        assert len((await http.get("/admin/instances")).json()["records"]) == children
        handle = test.client.handle("one")
        await handle.raise_event("paid", {"number": 9})
        result = await handle.result()
        assert result.startswith("Hello Ada! [Order(number=7, note='')] Order(number=9, note='')")
        turns = (await asked(http, "turns"))["turns"]
        last = await asked(http, f"turns/{len(turns)}")
        assert last["frames"] is None
        assert last["why"] == "its code had come to its end by then"
        assert last["decided"][-1] == "completed"
        assert {one["state"] for one in last["steps"]} <= {"completed", "canceled"}
        earlier = await asked(http, f"turns/{len(turns) - 1}")
        assert earlier["frames"], "what has ended can be looked into before its end"
        assert await asked(http, "forms") == []


@pytest.mark.parametrize(("turn", "status"), [("0", 404), ("99", 404), ("x", 400), ("-1", 400)])
async def test_a_turn_that_is_none_is_refused(turn: str, status: int) -> None:
    async with on_tour() as (_, http):
        answer = await http.get(f"/admin/instances/one/turns/{turn}")
        assert answer.status_code == status
        assert "turn" in answer.json()["message"]


async def test_an_instance_that_has_not_begun_has_no_turns_and_no_forms() -> None:
    async with TestHost(app) as test, http_to(test, app) as http:
        at = datetime(2126, 1, 1, tzinfo=UTC)
        await test.client.start(tour, "Ada", instance_id="one", start_at=at)
        assert (await asked(http, "turns"))["turns"] == []
        assert await asked(http, "forms") == []
        assert (await asked(http, "run"))["steps"] == []
        answer = await http.get("/admin/instances/one/turns/1")
        assert answer.status_code == 404
        assert "it has not begun" in answer.json()["message"]


async def test_an_instance_that_was_terminated_shows_its_code_up_to_then() -> None:
    async with on_tour() as (test, http):
        await test.client.handle("one").terminate("enough")
        turns = (await asked(http, "turns"))["turns"]
        last = await asked(http, f"turns/{len(turns)}")
        assert "ended from outside" in last["why"]
        assert (await asked(http, f"turns/{len(turns) - 1}"))["frames"]


async def test_a_long_history_is_refused_and_children_that_do_not_fit_are_left_out() -> None:
    async with serving(app, history_bytes=700) as serve:
        await begin(serve)
        for path in ("run", "turns", "turns/1", "forms"):
            answer = await serve.http.get(f"/admin/instances/one/{path}")
            assert (answer.status_code, path) == (413, path)
        found = (await serve.http.get("/admin/instances?name=branch")).json()["records"]
        run = await asked(serve.http, "run?levels=5", found[0]["instanceId"])
        assert run["steps"][0]["name"] == "leaf"


async def begin(serve: Serving) -> None:
    """Start an instance ``one`` on real time, and wait until its code has come so far."""
    RAN[:] = ["flaky"] * 3
    start = {"name": "tour", "input": "Ada", "instanceId": "one"}
    assert (await serve.http.post("/admin/instances", json=start)).status_code == 201

    async def has_called() -> bool:
        found = await serve.http.get("/admin/instances?name=leaf&status=Completed")
        return bool(found.json()["records"])

    await until_given(has_called)


async def test_what_is_kept_is_bounded_and_goes_with_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(travel, "_MOST_KEPT", 1)
    monkeypatch.setattr(travel, "_KEPT_SECONDS", 0.05)
    async with TestHost(app) as test:
        for name in ("one", "two"):
            await test.start(branch, instance_id=name)
        looks = travel.Travel(test.host.engine, 1_000_000)
        for name in ("one", "two", "one"):
            moment = await looks.moment(InstanceId(name), 1)
            assert isinstance(moment, Moment)
            assert moment.places is not None
            assert len(looks._kept) == 1
        kept = next(iter(looks._kept.values()))
        await until(lambda: not looks._kept and not is_open(kept.past))
        looks.close()


async def test_many_who_look_at_once_see_each_what_they_have_asked_for() -> None:
    async with on_tour() as (_, http):
        turns = len((await asked(http, "turns"))["turns"])
        wanted = [1 + number % turns for number in range(20)]
        found = await asyncio.gather(*(asked(http, f"turns/{turn}") for turn in wanted))
        assert [one["turn"] for one in found] == wanted


async def test_going_through_a_history_is_bounded_in_time_and_goes_on_from_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(travel, "LONGEST_SECONDS", -1.0)
    monkeypatch.setattr(travel, "SLICE_SECONDS", 0.0)
    async with on_tour() as (_, http):
        answer = await http.get("/admin/instances/one/turns/4")
        assert answer.status_code == 503
        assert "turn 1 of 4 is reached" in answer.json()["message"]
        assert answer.headers["retry-after"]
        answers = [await http.get("/admin/instances/one/turns/4") for _ in range(3)]
        assert [one.status_code for one in answers] == [503, 503, 200]
        answer = await http.get("/admin/instances/one/forms")
        assert answer.status_code == 503


# --- code that is not there, or does not fit ------------------------------------------------------


async def test_a_program_of_another_kind_shows_its_steps_and_no_code() -> None:
    async with serving([app, ForeignProgram({"order": "pay"}, {"pay": str})]) as serve:
        start = {"name": "order", "input": "x", "instanceId": "one"}
        await serve.http.post("/admin/instances", json=start)
        await serve.ended("one")
        moment = await asked(serve.http, "turns/1")
        assert moment["frames"] is None
        assert "another program" in moment["why"]
        assert [one["name"] for one in moment["steps"]] == ["pay"]
        assert await asked(serve.http, "forms") == []


def two_activities(first: str) -> App:
    made = App()

    async def pay(ctx: Context) -> None:
        await ctx.call_activity("charge")
        await ctx.call_activity(first)
        await ctx.wait_for_external_event("sent", int)

    def act() -> None:
        """Whatever it is called."""

    made.orchestrator(pay)
    for name in ("charge", "ship", "send"):
        made.activity(name=name)(act)
    return made


async def test_where_the_code_does_not_fit_any_more_it_is_shown_up_to_there() -> None:
    async with deployments(two_activities("ship")) as one:
        await one.test.start("pay", instance_id="one")
        await one.test.idle()
        await one.deploy(two_activities("send"))
        async with http_to(one.test, App()) as http:
            first, second = await asked(http, "turns/1"), await asked(http, "turns/2")
            forms = await asked(http, "forms")
    assert first["frames"]
    assert second["frames"] is None
    assert second["fitsThrough"] == 1
    assert "history recorded TaskScheduled #2 'ship'" in second["why"]
    assert [(one["name"], one["schema"]) for one in forms] == [("sent", None)]


async def test_code_that_is_gone_is_not_tried() -> None:
    async with deployments(two_activities("ship")) as one:
        await one.test.start("pay", instance_id="one")
        await one.test.idle()
        await one.deploy(App())
        async with http_to(one.test, App()) as http:
            gone = await asked(http, "turns/1")
    assert (gone["frames"], gone["why"]) == (None, "this host has no orchestrator 'pay'")


async def test_code_that_has_hurt_its_host_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    async with on_tour() as (test, _):
        engine, row = test.host.engine, (await stored(test)).record
        looks = travel.Travel(engine, 1_000_000)
        crashed = structs.replace(row, hold=Hold(HoldReason.CRASHED, "it died", 0))
        assert looks._forbidden(crashed).endswith("it died")
        assert not looks._forbidden(row)
        monkeypatch.setattr(engine, "careful", object())
        moment = await looks.moment(InstanceId("one"))
        monkeypatch.undo()
        looks.close()
    assert isinstance(moment, Moment)
    assert (moment.places, moment.awaited) == (None, {})
    assert "hosts have died" in moment.why


async def test_what_is_still_looked_at_is_let_go_of_afterwards() -> None:
    async with on_tour() as (test, _):
        looks = travel.Travel(test.host.engine, 1_000_000)
        async with looks._past(InstanceId("one")) as past:
            assert past.go(1, 1.0)
            looks.close()
            await asyncio.sleep(0)
            assert is_open(past), "it is still looked at"
        await asyncio.sleep(0)
        assert not is_open(past)
        assert not looks._kept
        assert past.go(2, 1.0), "whoever is late begins anew"
        past.close()


def is_open(past: Past) -> bool:
    return past._session is not None


# --- forms ----------------------------------------------------------------------------------------


async def test_what_people_can_send_has_its_schema_and_its_choices() -> None:
    async with on_tour() as (_, http):
        question, event = await asked(http, "forms")
    assert (question["kind"], question["name"], question["text"]) == (
        "question", "Ship?", "It is ready.",
    )  # fmt: skip
    assert question["schema"]["enum"] == ["yes", "no"]
    assert question["choices"] == [
        {"label": "Yes", "value": "yes"},
        {"label": "No", "value": "no"},
    ]
    assert question["form"]["isSingle"]
    assert question["url"].startswith("http")
    assert (event["kind"], event["name"], event["choices"], event["url"]) == (
        "event", "paid", None, None,
    )  # fmt: skip
    assert "Order" in event["schema"]["$defs"]


# --- who may see what -----------------------------------------------------------------------------


async def test_who_may_only_look_sees_no_address_that_does_something() -> None:
    async with serving(app, keys=KEYS) as serve:
        serve.http.headers["x-functions-key"] = KEYS["admin"].key
        await begin(serve)
        forms = await until_given(lambda: linked(serve.http))
        token = forms[0]["url"].rpartition("/")[2]
        turns = len((await asked(serve.http, "turns"))["turns"])
        paths = ["run", "turns", f"turns/{turns}", "forms"]
        whole = [str(await asked(serve.http, path)) for path in paths]
        assert [token in text for text in whole] == [True, False, True, True]
        serve.http.headers["x-functions-key"] = READ_KEY
        hidden = [str(await asked(serve.http, path)) for path in paths]
        assert not any(token in text for text in hidden)
        assert "***" in hidden[2]
