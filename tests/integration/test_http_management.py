"""The management API over real HTTP: starting, asking, steering, as Durable Functions has it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from tenuto import ActivityError, App, Context
from tenuto.http.payloads import MOUNT
from tenuto.model.control import CONTROLS
from tenuto.model.limits import Limits
from tests.support.http_server import Serving, serving

INSTANCES = f"{MOUNT}/instances"


@pytest.fixture
def app() -> App:
    app = App()

    @app.activity
    def greet(name: str) -> str:
        return f"Hello {name}"

    @app.orchestrator
    async def hello(ctx: Context, name: str) -> str:
        return await ctx.call_activity(greet, name)

    @app.orchestrator
    async def echo(ctx: Context, value: Any) -> Any:  # noqa: ANN401 - any JSON
        return value

    @app.orchestrator
    async def approval(ctx: Context) -> Any:  # noqa: ANN401 - any JSON
        return await ctx.wait_for_external_event("Approval")

    @app.orchestrator
    async def failing(ctx: Context) -> None:
        raise ValueError("no such flight")

    return app


@pytest.fixture
async def serve(app: App) -> AsyncIterator[Serving]:
    async with serving(app) as running:
        yield running


# --- starting -------------------------------------------------------------------------------------


async def test_a_history_that_is_too_long_is_refused_without_being_read(app: App) -> None:
    async with serving(app, history_bytes=2_000) as serve:
        await serve.start("echo", "x" * 3_000, instance_id="long")
        await serve.start("echo", "x", instance_id="short")
        for instance_id, status in (("long", 413), ("short", 200)):
            await serve.ended(instance_id)
            shown = await serve.status(instance_id, showHistory="true")
            raw = await serve.http.get(f"/admin/instances/{instance_id}/history")
            assert (shown.status_code, raw.status_code) == (status, status)
        refused = (await serve.http.get("/admin/instances/long/history")).json()
        assert refused["code"] == "TN-1502"
        assert "setting http.history_bytes" in refused["message"]


async def test_the_empty_text_that_javascript_sends_is_no_input_where_none_is_taken(
    serve: Serving,
) -> None:
    assert (await serve.start("approval", "", instance_id="a")).status_code == 202
    assert (await serve.status("a")).json()["input"] is None
    assert (await serve.start("hello", "", instance_id="h")).status_code == 202
    assert (await serve.ended("h"))["output"] == "Hello "
    assert (await serve.start("approval", "x")).status_code == 400


async def test_a_start_answers_with_links_that_work(serve: Serving) -> None:
    answer = await serve.start("hello", "Ada", instance_id="trip-1")
    assert answer.status_code == 202
    links = answer.json()
    root = f"{serve.url}{INSTANCES}/trip-1"
    assert links == {
        "id": "trip-1",
        "statusQueryGetUri": root,
        "sendEventPostUri": f"{root}/raiseEvent/{{eventName}}",
        "terminatePostUri": f"{root}/terminate?reason={{text}}",
        "purgeHistoryDeleteUri": root,
        "restartPostUri": f"{root}/restart",
        "suspendPostUri": f"{root}/suspend?reason={{text}}",
        "resumePostUri": f"{root}/resume?reason={{text}}",
    }
    assert answer.headers["location"] == root
    assert answer.headers["retry-after"] == "10"
    await serve.server.host.client.wait("trip-1")
    status = await serve.http.get(links["statusQueryGetUri"])
    assert status.status_code == 200
    assert status.json()["output"] == "Hello Ada"


async def test_a_start_without_an_id_gets_32_digits(serve: Serving) -> None:
    first, second = await serve.start("echo", 1), await serve.start("echo", 1)
    assert len(first.json()["id"]) == len(second.json()["id"]) == 32
    assert first.json()["id"] != second.json()["id"]


async def test_waiting_for_the_end_answers_with_the_output(serve: Serving) -> None:
    answer = await serve.start("hello", "Ada", params={"timeout": "15", "pollingInterval": "0.5"})
    assert (answer.status_code, answer.json()) == (200, "Hello Ada")
    assert answer.headers["content-type"] == "application/json"


async def test_waiting_in_vain_answers_with_the_links(serve: Serving) -> None:
    answer = await serve.start("approval", params={"timeout": "0.05", "pollingInterval": "0.01"})
    assert answer.status_code == 202
    assert "statusQueryGetUri" in answer.json()


@pytest.mark.parametrize(("flag", "status"), [("false", 200), ("true", 500)])
async def test_waiting_for_a_failure_answers_with_the_status(
    serve: Serving, flag: str, status: int
) -> None:
    answer = await serve.start(
        "failing",
        params={
            "timeout": "15",
            "pollingInterval": "1",
            "returnInternalServerErrorOnFailure": flag,
        },
    )
    assert answer.status_code == status
    assert answer.json()["runtimeStatus"] == "Failed"


async def test_a_server_that_stops_answers_those_who_wait(app: App) -> None:
    async with serving(app) as serve:
        waiting = asyncio.create_task(
            serve.start("approval", instance_id="slow", params={"timeout": "500"})
        )
        while (await serve.status("slow")).status_code == 404:
            pass
        await serve.server.stop()
        answer = await waiting
    assert answer.status_code == 202


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("orchestrators/hullo", b'"Ada"', "did you mean 'hello'"),
        ("orchestrators/hello", b"{not json", "Invalid JSON content"),
        ("orchestrators/hello", b"\xff\xfe", "Invalid JSON content"),
        ("orchestrators/hello", b"[" * 200_000, "Invalid JSON content: it is nested"),
        ("orchestrators/hello", b"[1]", "Expected `str`"),
        ("orchestrators/hello/@counter", b'"Ada"', "leading '@'"),
        ("orchestrators/hello/a%2Fb", b'"Ada"', "contains '/'"),
        ("orchestrators/hello/" + "x" * 257, b'"Ada"', "256"),
        ("orchestrators/hello?timeout=soon", b'"Ada"', "timeout"),
        ("orchestrators/hello?timeout=nan", b'"Ada"', "timeout"),
        ("orchestrators/hello?timeout=1&timeout=2", b'"Ada"', "give it once"),
        ("orchestrators/hello?version=%ff", b'"Ada"', "UTF-8"),
        ("orchestrators/hello/%ff", b'"Ada"', "UTF-8"),
    ],
)
async def test_bad_input_is_refused_whole_by_a_start(
    serve: Serving, path: str, body: bytes, says: str
) -> None:
    answer = await serve.http.post(f"{MOUNT}/{path}", content=body)
    assert answer.status_code == 400
    error = answer.json()
    assert says in error["message"]
    assert error["code"].startswith("TN-1")
    assert error["message"] == error["Message"] == error["ExceptionMessage"]
    assert (await serve.http.get(INSTANCES)).json() == []


async def test_an_error_is_said_once_where_no_sdk_asks(serve: Serving) -> None:
    answer = await serve.http.get("/admin/instances/nobody")
    assert answer.status_code == 404
    assert set(answer.json()) == {"code", "message"}


async def test_the_links_of_a_start_have_a_line_each(serve: Serving) -> None:
    answer = await serve.start("approval", instance_id="one")
    lines = answer.text.splitlines()
    assert len(lines) == len(answer.json()) + 2
    assert answer.text.endswith("}\n")


async def test_an_id_that_is_taken_is_a_conflict(serve: Serving) -> None:
    await serve.start("approval", instance_id="one")
    answer = await serve.start("approval", instance_id="one")
    assert answer.status_code == 409
    assert answer.json()["code"] == "TN-1201"
    assert "already exists (Running)" in answer.json()["ExceptionMessage"]


async def test_a_payload_beyond_the_limit_is_refused(app: App) -> None:
    async with serving(app, limits=Limits(payload_bytes=100)) as serve:
        answer = await serve.start("echo", "x" * 101, instance_id="big")
        assert answer.status_code == 413
        assert "limits.payload_bytes" in answer.json()["message"]
        assert (await serve.status("big")).status_code == 404


async def test_json_text_is_kept_to_the_letter(serve: Serving) -> None:
    text = '{"b": 1.50,  "a": 12345678901234567890, "é": "\\u00e9"}'
    await serve.http.post(f"{MOUNT}/orchestrators/approval/x", content=b"")
    await serve.http.post(
        f"{INSTANCES}/x/raiseEvent/approval",
        content=text,
        headers={"content-type": "application/json; charset=utf-8"},
    )
    started = await serve.http.post(f"{MOUNT}/orchestrators/echo/y", content=text)
    assert started.status_code == 202
    await serve.ended("y")
    assert f'"input":{text}' in (await serve.status("y")).text


async def test_paths_ignore_case_and_a_slash_at_the_end_but_names_do_not(serve: Serving) -> None:
    path = "/RUNTIME/webhooks/DurableTask/Orchestrators/approval/Trip%20%C3%A9/"
    assert (await serve.http.post(path)).status_code == 202
    status = await serve.http.get(f"{MOUNT}/Instances/Trip é/?taskHub=h&connection=c")
    assert status.json()["instanceId"] == "Trip é"
    assert (await serve.http.get(f"{INSTANCES}/trip é")).status_code == 404


# --- asking ---------------------------------------------------------------------------------------


async def test_a_waiting_instance_answers_202_with_its_own_link(serve: Serving) -> None:
    await serve.start("approval", instance_id="a")
    answer = await serve.status("a")
    assert answer.status_code == 202
    assert answer.headers["location"] == f"{serve.url}{INSTANCES}/a"
    assert answer.headers["retry-after"] == "5"
    body = answer.json()
    assert body.keys() == {
        "name",
        "instanceId",
        "runtimeStatus",
        "input",
        "customStatus",
        "output",
        "createdTime",
        "lastUpdatedTime",
    }
    assert body["runtimeStatus"] in {"Pending", "Running"}
    assert len(body["createdTime"]) == len("2026-01-01T00:00:00Z")


async def test_a_failed_instance_answers_500_only_when_asked_to(serve: Serving) -> None:
    await serve.start("failing", instance_id="f")
    await serve.ended("f")
    assert (await serve.status("f")).status_code == 200
    answer = await serve.status("f", returnInternalServerErrorOnFailure="True")
    assert answer.status_code == 500
    assert answer.json()["output"] == (
        "Orchestrator function 'failing' failed: ValueError: no such flight"
    )


async def test_the_input_is_hidden_when_asked_to(serve: Serving) -> None:
    await serve.start("echo", {"a": 1}, instance_id="e")
    await serve.ended("e")
    assert (await serve.status("e", showInput="True")).json()["input"] == {"a": 1}
    assert (await serve.status("e")).json()["input"] == {"a": 1}
    assert (await serve.status("e", showInput="false")).json()["input"] is None


async def test_a_hello_history_has_three_events(serve: Serving) -> None:
    await serve.start("hello", "Ada", instance_id="h")
    await serve.ended("h")
    shown = (await serve.status("h", showHistory="True", showHistoryOutput="True")).json()
    assert shown["history"] == shown["historyEvents"]
    started, called, completed = shown["historyEvents"]
    assert (started["EventType"], started["FunctionName"]) == ("ExecutionStarted", "hello")
    assert (called["EventType"], called["FunctionName"]) == ("TaskCompleted", "greet")
    assert called["ScheduledTime"] <= called["Timestamp"]
    assert called["Result"] == "Hello Ada"
    assert completed["EventType"] == "ExecutionCompleted"
    assert completed["OrchestrationStatus"] == "Completed"
    assert completed["Result"] == "Hello Ada"
    bare = (await serve.status("h", showHistory="true", showInput="false")).json()["history"]
    assert all("Result" not in event and "Input" not in event for event in bare)
    assert "history" not in (await serve.status("h")).json()


async def test_who_asks_for_it_is_told_why_an_instance_does_not_go_on(serve: Serving) -> None:
    await serve.start("approval", instance_id="a")
    await serve.http.get("/admin/instances/a", params={"wait": "20", "until": "started"})
    told = (await serve.status("a", showExplanation="true")).json()["explanation"]
    assert told["sentence"].startswith("waits for event 'Approval' since")
    assert told["facts"][0]["type"] == "event"
    admin = (await serve.http.get("/admin/instances/a")).json()["explanation"]
    assert (told["facts"], told["advice"]) == (admin["facts"], admin["advice"])
    assert "explanation" not in (await serve.status("a")).json()
    await serve.start("hello", "Ada", instance_id="h")
    await serve.ended("h")
    assert "explanation" not in (await serve.status("h", showExplanation="true")).json()


async def test_a_history_shows_what_ended_once_and_what_is_open_as_it_was_scheduled(
    app: App, serve: Serving
) -> None:
    @app.activity
    def break_down(what: str) -> None:
        raise ValueError(f"{what} is broken")

    @app.orchestrator
    async def busy(ctx: Context) -> str:
        with contextlib.suppress(ActivityError):
            await ctx.call_activity(break_down, "lift")
        await ctx.call_sub_orchestrator("hello", "Bob")
        await ctx.create_timer(timedelta(milliseconds=1))
        ctx.send_event("listener", "News", 7)
        given = await ctx.wait_for_external_event("Go", timeout=timedelta(days=1))
        return str(given)

    await serve.start("approval", instance_id="listener")
    await serve.start("busy", instance_id="b")
    path = f"{INSTANCES}/b"
    await serve.http.post(f"{path}/suspend?reason=lunch")
    await serve.http.post(f"{path}/resume")
    wanted = ["TaskFailed", "SubOrchestrationInstanceCompleted", "TimerFired", "TimerCreated"]

    async def events() -> dict[str, dict[str, Any]]:
        shown = (await serve.status("b", showHistory="true", showHistoryOutput="true")).json()
        return {event["EventType"]: event for event in shown["history"]}

    async with asyncio.timeout(30):
        while "EventSent" not in (found := await events()):
            pass
    assert set(wanted) <= set(found)
    assert found["TaskFailed"]["Reason"] == "lift is broken"
    assert found["TaskFailed"]["FailureDetails"]["ErrorType"] == "ValueError"
    assert found["TaskFailed"]["Input"] == "lift"
    child = found["SubOrchestrationInstanceCompleted"]
    assert (child["FunctionName"], child["Result"]) == ("hello", "Hello Bob")
    assert found["TimerFired"]["ScheduledTime"] <= found["TimerFired"]["FireAt"]
    assert found["EventSent"]["InstanceId"] == "listener"
    assert found["ExecutionSuspended"]["Reason"] == "lunch"
    assert found["ExecutionResumed"]["Reason"] is None
    await serve.http.post(f"{path}/raiseEvent/go", content="1", headers=JSON)
    assert (await serve.ended("b"))["output"] == "1"
    found = await events()
    raised = found["EventRaised"]
    assert (raised["Name"], raised["Input"]) == ("go", 1)
    assert not {"TaskCanceled", "TimerCreated"} & set(found), "the timeout is no longer open"
    await serve.start("approval", instance_id="t")
    await serve.http.post(f"{INSTANCES}/t/terminate?reason=enough")
    shown = (await serve.status("t", showHistory="true")).json()["history"]
    ended = {event["EventType"]: event for event in shown}
    assert ended["ExecutionTerminated"]["Reason"] == "enough"
    assert ended["ExecutionCompleted"]["OrchestrationStatus"] == "Terminated"


async def test_terminate_with_recurse_ends_children_too(app: App, serve: Serving) -> None:
    @app.orchestrator
    async def caller(ctx: Context) -> None:
        await ctx.call_sub_orchestrator("approval", instance_id="below")

    await serve.start("caller", instance_id="c")
    while (await serve.status("below")).json().get("runtimeStatus") != "Running":  # noqa: ASYNC110 - the host tells nobody
        await asyncio.sleep(0.01)
    answer = await serve.http.post(f"{INSTANCES}/c/terminate?recurse=true&reason=enough")
    assert answer.status_code == 202
    assert (await serve.ended("below"))["runtimeStatus"] == "Terminated"


async def test_who_asks_for_what_is_not_there_gets_404(serve: Serving) -> None:
    answer = await serve.status("nobody")
    assert answer.status_code == 404
    assert answer.json()["code"] == "TN-1202"


async def test_pages_follow_each_other_by_token(serve: Serving) -> None:
    for number in range(5):
        await serve.start("echo", number, instance_id=f"n-{number}")
    seen: list[str] = []
    token: str | None = None
    pages = 0
    while token != "":
        headers = {} if token is None else {"x-ms-continuation-token": token}
        page = await serve.http.get(f"{INSTANCES}/", params={"top": "2"}, headers=headers)
        assert page.status_code == 200
        seen += [one["instanceId"] for one in page.json()]
        token = page.headers["x-ms-continuation-token"]
        pages += 1
    assert sorted(seen) == [f"n-{number}" for number in range(5)]
    assert pages == 3


async def test_a_listing_passes_its_filters(serve: Serving) -> None:
    await serve.start("approval", instance_id="a-1")
    await serve.start("echo", 1, instance_id="a-2")
    await serve.start("failing", instance_id="b-1")
    await serve.ended("a-2")
    await serve.ended("b-1")

    async def listed(query: str) -> set[str]:
        answer = await serve.http.get(f"{INSTANCES}?{query}")
        assert answer.status_code == 200, answer.text
        return {one["instanceId"] for one in answer.json()}

    assert await listed("instanceIdPrefix=a-") == {"a-1", "a-2"}
    assert await listed("runtimeStatus=Completed,failed") == {"a-2", "b-1"}
    assert await listed("runtimeStatus=Completed&runtimeStatus=Failed") == {"a-2", "b-1"}
    assert await listed("runtimeStatus=Completed,Sleeping") == {"a-2"}
    assert await listed("createdTimeFrom=2020-01-01T00:00:00.0000000Z") == {"a-1", "a-2", "b-1"}
    assert await listed("createdTimeTo=2020-01-01T00:00:00+02:00") == set()
    assert await listed("createdTimeFrom=2200-01-01") == set()
    hidden = (await serve.http.get(f"{INSTANCES}?instanceIdPrefix=a-2&showInput=false")).json()
    assert hidden[0]["input"] is None


@pytest.mark.parametrize(
    "query",
    [
        "top=0",
        "top=-1",
        "top=many",
        "createdTimeFrom=yesterday",
        "showInput=maybe",
        "runtimeStatus=Sleeping",
    ],
)
async def test_bad_input_is_refused_whole_by_a_listing(serve: Serving, query: str) -> None:
    answer = await serve.http.get(f"{INSTANCES}?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json()["message"]


async def test_a_token_of_another_listing_is_refused(serve: Serving) -> None:
    answer = await serve.http.get(INSTANCES, headers={"x-ms-continuation-token": "nonsense"})
    assert answer.status_code == 400
    assert "page token" in answer.json()["message"]


async def test_a_page_of_large_payloads_ends_early_and_nothing_is_missed(serve: Serving) -> None:
    text = "x" * (3 * 1024 * 1024)
    for number in range(4):
        await serve.start("echo", text, instance_id=f"big-{number}")
        await serve.ended(f"big-{number}")
    page = await serve.http.get(INSTANCES)
    token = page.headers["x-ms-continuation-token"]
    assert len(page.json()) == 4 or token
    rest = await serve.http.get(INSTANCES, headers={"x-ms-continuation-token": token})
    seen = [one["instanceId"] for one in page.json()]
    seen += [one["instanceId"] for one in rest.json()] if token else []
    assert sorted(seen) == [f"big-{number}" for number in range(4)]


# --- steering -------------------------------------------------------------------------------------

JSON = {"content-type": "application/json"}


async def test_an_event_reaches_its_instance(serve: Serving) -> None:
    await serve.start("approval", instance_id="a")
    answer = await serve.http.post(
        f"{INSTANCES}/a/raiseEvent/Approval", content='{"ok":true}', headers=JSON
    )
    assert (answer.status_code, answer.content) == (202, b"")
    assert (await serve.ended("a"))["output"] == {"ok": True}


@pytest.mark.parametrize("headers", [{}, JSON, {"content-type": "application/octet-stream"}])
async def test_an_event_without_a_body_is_null(serve: Serving, headers: dict[str, str]) -> None:
    await serve.start("approval", instance_id="a")
    answer = await serve.http.post(f"{INSTANCES}/a/raiseEvent/Approval", headers=headers)
    assert answer.status_code == 202
    assert (await serve.ended("a"))["output"] is None


async def test_bad_input_is_refused_whole_by_an_event(serve: Serving) -> None:
    await serve.start("approval", instance_id="a")
    path = f"{INSTANCES}/a/raiseEvent/Approval"
    for headers in ({}, {"content-type": "text/plain"}):
        wrong = await serve.http.post(path, content=b"1", headers=headers)
        assert wrong.status_code == 400
        assert "Content-Type: application/json" in wrong.json()["message"]
    broken = await serve.http.post(path, content=b"{", headers=JSON)
    assert broken.status_code == 400
    missing = await serve.http.post(f"{INSTANCES}/b/raiseEvent/x", content=b"1", headers=JSON)
    assert missing.status_code == 404
    assert (await serve.status("a")).json()["runtimeStatus"] == "Running"


async def test_a_terminated_instance_is_gone(serve: Serving) -> None:
    await serve.start("approval", instance_id="a")
    answer = await serve.http.post(f"{INSTANCES}/a/terminate?reason=too%20late")
    assert (answer.status_code, answer.content) == (202, b"")
    ended = await serve.ended("a")
    assert (ended["runtimeStatus"], ended["output"]) == ("Terminated", "too late")
    for action in ("terminate", "suspend", "resume", "raiseEvent/x"):
        answer = await serve.http.post(f"{INSTANCES}/a/{action}")
        assert answer.status_code == 410, action
        assert answer.json()["code"] == "TN-1203"


async def test_a_suspended_instance_waits_until_it_is_resumed(serve: Serving) -> None:
    await serve.start("approval", instance_id="a")
    assert (await serve.http.post(f"{INSTANCES}/a/suspend?reason=lunch")).status_code == 202
    assert (await serve.status("a")).json()["runtimeStatus"] == "Suspended"
    again = await serve.http.post(f"{INSTANCES}/a/suspend")
    assert (again.status_code, again.json()["code"]) == (409, "TN-1204")
    await serve.http.post(f"{INSTANCES}/a/raiseEvent/approval", content="7", headers=JSON)
    assert (await serve.status("a")).json()["runtimeStatus"] == "Suspended"
    assert (await serve.http.post(f"{INSTANCES}/a/resume?reason=done")).status_code == 202
    ended = await serve.ended("a")
    assert ended["output"] == 7


async def test_who_is_not_suspended_cannot_be_resumed(serve: Serving) -> None:
    await serve.start("approval", instance_id="a")
    assert (await serve.http.post(f"{INSTANCES}/a/resume")).status_code == 409
    for action in ("terminate", "suspend", "resume"):
        assert (await serve.http.post(f"{INSTANCES}/b/{action}")).status_code == 404


async def test_a_restart_runs_again_under_a_new_id_or_its_own(serve: Serving) -> None:
    await serve.start("hello", "Ada", instance_id="a")
    await serve.ended("a")
    fresh = await serve.http.post(f"{INSTANCES}/a/restart")
    assert fresh.status_code == 202
    assert fresh.json()["id"] != "a"
    assert (await serve.ended(fresh.json()["id"]))["input"] == "Ada"
    own = await serve.http.post(
        f"{INSTANCES}/a/restart?restartWithNewInstanceId=False&timeout=15&pollingInterval=1"
    )
    assert (own.status_code, own.json()) == (200, "Hello Ada")
    await serve.start("approval", instance_id="b")
    running = await serve.http.post(f"{INSTANCES}/b/restart?restartWithNewInstanceId=false")
    assert running.status_code == 409
    assert (await serve.http.post(f"{INSTANCES}/nobody/restart")).status_code == 400


async def test_purging_deletes_what_has_ended(serve: Serving) -> None:
    await serve.start("echo", 1, instance_id="a")
    await serve.ended("a")
    answer = await serve.http.delete(f"{INSTANCES}/a")
    assert (answer.status_code, answer.json()) == (200, {"instancesDeleted": 1})
    assert (await serve.http.delete(f"{INSTANCES}/a")).status_code == 404
    assert (await serve.status("a")).status_code == 404


async def test_a_running_instance_is_purged_by_force_alone(serve: Serving) -> None:
    await serve.start("approval", instance_id="a")
    refused = await serve.http.delete(f"{INSTANCES}/a")
    assert (refused.status_code, refused.json()["code"]) == (409, "TN-1204")
    assert (await serve.status("a")).status_code == 202
    assert (await serve.http.delete(f"{INSTANCES}/a?force=true")).status_code == 200
    assert (await serve.status("a")).status_code == 404


async def test_purging_many_takes_what_fits_and_leaves_what_runs(serve: Serving) -> None:
    for number in range(3):
        await serve.start("echo", number, instance_id=f"e-{number}")
        await serve.ended(f"e-{number}")
    await serve.start("failing", instance_id="f")
    await serve.ended("f")
    await serve.start("approval", instance_id="a")

    async def purge(query: str) -> tuple[int, Any]:
        answer = await serve.http.delete(f"{INSTANCES}/?{query}")
        return answer.status_code, answer.json()

    status, body = await purge("runtimeStatus=Completed")
    assert (status, body["message"]) == (
        400,
        "Please provide value for 'createdTimeFrom' parameter.",
    )
    since = "createdTimeFrom=2020-01-01T00:00:00Z"
    assert (await purge(f"{since}&runtimeStatus=Complete"))[0] == 400
    status, body = await purge(f"{since}&runtimeStatus=Running")
    assert status == 409
    assert (
        "Running have not ended; terminate them first, or purge them with force" in body["message"]
    )
    assert (await purge(f"{since}&createdTimeTo=2021-01-01T00:00:00Z"))[0] == 404
    assert (await purge(f"{since}&runtimeStatus=Completed")) == (200, {"instancesDeleted": 3})
    assert (await purge(since)) == (200, {"instancesDeleted": 1})
    assert (await purge(since))[0] == 404
    assert (await serve.status("a")).status_code == 202
    assert (await purge(f"{since}&force=true")) == (200, {"instancesDeleted": 1})


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("instanceIdPrefx=a", "there is no query parameter 'instanceidprefx' here; there are"),
        ("bogus=1", "createdTimeTo, runtimeStatus, instanceIdPrefix, force, code, taskHub"),
        ("status=Failed", "there is no query parameter 'status' here"),
        ("instanceIdPrefix=", "query parameter instanceIdPrefix is empty"),
        ("runtimeStatus=", "query parameter runtimeStatus is empty"),
        ("runtimeStatus=,", "query parameter runtimeStatus is empty"),
        ("createdTimeTo=", "query parameter createdTimeTo is empty"),
    ],
)
async def test_a_filter_that_is_misspelt_or_empty_deletes_nothing(
    serve: Serving, query: str, reason: str
) -> None:
    await serve.start("hello", "Ada", instance_id="a")
    await serve.ended("a")
    answer = await serve.http.delete(f"{INSTANCES}?createdTimeFrom=2020-01-01&{query}")
    assert answer.status_code == 400
    assert reason in answer.json()["message"]
    assert (await serve.status("a")).status_code == 200


async def test_many_are_purged_whose_ids_begin_so(serve: Serving) -> None:
    for name in ("a-1", "a-2", "b-1"):
        await serve.start("hello", "Ada", instance_id=name)
        await serve.ended(name)
    answer = await serve.http.delete(
        f"{INSTANCES}?createdTimeFrom=2020-01-01&InstanceIdPrefix=a-&taskHub=h&connection=c&code="
    )
    assert answer.json() == {"instancesDeleted": 2}
    assert (await serve.status("b-1")).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"{MOUNT}/orchestrators/hello"),
        ("POST", f"{INSTANCES}/a/raiseEvent/go"),
        ("POST", f"{INSTANCES}/a/terminate"),
        *[("POST", f"{INSTANCES}/a/{one.name}") for one in CONTROLS],
        ("POST", f"{INSTANCES}/a/restart"),
        ("DELETE", f"{INSTANCES}/a"),
        ("POST", "/admin/instances"),
        ("POST", "/admin/instances/a/raise-event"),
        ("POST", "/admin/instances/a/terminate"),
        ("DELETE", "/admin/instances/a"),
    ],
)
async def test_what_changes_something_takes_no_unknown_parameter(
    serve: Serving, method: str, path: str
) -> None:
    await serve.start("approval", instance_id="a")
    answer = await serve.http.request(method, f"{path}?taskHub=h&Recursive=true")
    assert answer.status_code == 400
    assert "there is no query parameter 'recursive' here; there are" in answer.json()["message"]
    assert (await serve.status("a")).json()["runtimeStatus"] == "Running"


async def test_who_only_asks_may_send_more(serve: Serving) -> None:
    await serve.start("approval", instance_id="a")
    assert (await serve.http.get(f"{INSTANCES}/a?bogus=1")).status_code == 202
    assert (await serve.http.get(f"{INSTANCES}?bogus=1")).status_code == 200


# --- what is not there ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "instances/a/rewind"),
        ("GET", "entities"),
        ("GET", "entities/counter/"),
        ("GET", "entities/counter/$"),
        ("POST", "entities/counter/a?op=add"),
        ("DELETE", "entities/counter/a"),
        ("POST", "makeprimary"),
    ],
)
async def test_what_does_not_exist_yet_says_so(serve: Serving, method: str, path: str) -> None:
    answer = await serve.http.request(method, f"{MOUNT}/{path}")
    assert (answer.status_code, answer.json()["code"]) == (501, "TN-1705")


async def test_a_wrong_method_is_404_here_and_405_elsewhere(serve: Serving) -> None:
    hidden = await serve.http.put(f"{INSTANCES}/a")
    assert (hidden.status_code, hidden.json()["code"]) == (404, "TN-1703")
    elsewhere = await serve.http.put("/openapi.json")
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (405, "TN-1708")
    assert elsewhere.headers["allow"] == "GET, HEAD"
    nothing = await serve.http.get("/nothing/here")
    assert (nothing.status_code, nothing.json()["code"]) == (404, "TN-1703")


async def test_head_answers_as_get_without_a_body(serve: Serving) -> None:
    await serve.start("approval", instance_id="a")
    answer = await serve.http.head(f"{INSTANCES}/a")
    assert (answer.status_code, answer.content) == (202, b"")
    assert int(answer.headers["content-length"]) == len((await serve.status("a")).content)


async def test_an_unexpected_error_is_logged_once_and_tells_the_caller_nothing(
    serve: Serving, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_instance_id: str) -> None:
        raise ZeroDivisionError("the secret is 4711")

    monkeypatch.setattr(serve.server.host.client.gateway, "get", broken)
    answer = await serve.http.get(f"{INSTANCES}/a?code=a-secret-code")
    assert answer.status_code == 500
    assert "4711" not in answer.text
    assert json.loads(answer.content)["code"] == "TN-1000"
    logged = [record for record in caplog.records if record.name == "tenuto.http"]
    assert len(logged) == 1
    assert logged[0].exc_info is not None
    assert "a-secret-code" not in caplog.text
