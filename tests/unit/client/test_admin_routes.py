"""The routes under /admin as any program may call them: exact answers, one error for bad input."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pydantic
import pytest

from tenuto import App, Context, Limits, RetryPolicy, Settings
from tenuto.host.server import Server
from tenuto.http.options import AccessKey, HttpSettings, Role
from tenuto.model.status import InstanceRecord, RuntimeStatus

KEY = "admin-admin-admin-admin"
EXECUTION = "0123456789abcdef" * 2

app = App()


@dataclass
class Trip:
    city: str
    days: int = 1


class Strange(pydantic.BaseModel):
    """Of another library: it is written and read, and has no schema here."""


@app.activity
def book(trip: Trip, hotel: str | None = None) -> str:
    return f"{trip.city} {hotel}"


@app.activity
def takes(thing: Strange) -> None: ...


@app.activity(retry=RetryPolicy(max_attempts=2, first_interval=timedelta(hours=1)))
def fails() -> None:
    raise ValueError


@app.orchestrator(version="3")
async def book_trip(ctx: Context, trip: Trip) -> str:
    return await ctx.call_activity(book, trip, None)


@app.orchestrator
async def waits(ctx: Context) -> Any:  # noqa: ANN401 - any JSON
    return await ctx.wait_for_external_event("item")


@app.orchestrator
async def busy(ctx: Context) -> None:
    item = ctx.wait_for_external_event("item", timeout=timedelta(days=2))
    other = ctx.wait_for_external_event("other")
    async with asyncio.timeout(3600):
        call = ctx.call_activity(fails)
        child = ctx.call_sub_orchestrator(waits.options(instance_id="child"))
        await asyncio.gather(item, other, call, child)


@app.http("GET", "/hello/{name}")
async def hello(name: str) -> str:
    return name


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    chosen = Settings(
        storage=f"sqlite:///{tmp_path}/hub.db",
        limits=Limits(payload_bytes=10_000),
        http=HttpSettings(port=0, keys={"boss": AccessKey(key=KEY, role=Role.ADMIN)}),
    )
    async with Server(app, settings=chosen, sources={"http.port": "option --port"}) as server:
        yield server


@pytest.fixture
async def http(server: Server) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(
        base_url=f"{server.url}/admin", headers={"x-functions-key": KEY}, trust_env=False
    ) as client:
        yield client


async def started(http: httpx2.AsyncClient, **body: object) -> httpx2.Response:
    return await http.post("/instances", json=body)


async def test_a_start_keeps_its_input_to_the_letter(http: httpx2.AsyncClient) -> None:
    text = '{"name":"book_trip","instanceId":"t","input":{ "days": 2,  "city": "O\\u0073lo" }}'
    answer = await http.post("/instances", content=text)
    assert (answer.status_code, answer.json()) == (201, {"instanceId": "t"})
    found = await http.get("/instances/t", params={"wait": 20})
    record = msgspec.json.decode(found.content, type=InstanceRecord)
    assert record.status is RuntimeStatus.COMPLETED
    assert record.input == '{ "days": 2,  "city": "O\\u0073lo" }'
    assert record.output == '"Oslo None"'
    assert (record.version, len(record.execution_id)) == ("3", 32)


async def test_what_is_left_out_is_made_up(http: httpx2.AsyncClient) -> None:
    answer = await started(http, name="waits")
    assert len(answer.json()["instanceId"]) == 32


async def test_until_says_what_is_waited_for(http: httpx2.AsyncClient) -> None:
    await started(http, name="waits", instanceId="w")
    found = await http.get("/instances/w", params={"wait": 20, "until": "started"})
    assert found.json()["status"] == RuntimeStatus.RUNNING
    wrong = await http.get("/instances/w", params={"until": "middle"})
    assert (wrong.status_code, "ended or started" in wrong.text) == (400, True)
    wrong = await http.get("/instances", params={"order": "sideways"})
    assert (wrong.status_code, "last_completed" in wrong.text) == (400, True)


async def test_waiting_ends_with_the_time_or_the_instance(http: httpx2.AsyncClient) -> None:
    await started(http, name="waits", instanceId="w")
    early = await http.get("/instances/w", params={"wait": "0.05"})
    assert (early.status_code, early.json().get("completedAt")) == (200, None)
    done = await http.post("/instances/w/raise-event", json={"name": "item", "input": [1]})
    assert (done.status_code, done.content) == (204, b"")
    ended = await http.get("/instances/w", params={"wait": 20})
    assert ended.json()["output"] == "[1]"
    turns = (await http.get("/instances/w/history")).json()
    assert turns[-1][0]["type"] == "OrchestratorStarted"


async def test_an_instance_says_what_it_waits_for(http: httpx2.AsyncClient) -> None:
    await started(http, name="busy", instanceId="b")
    found = (await http.get("/instances/b", params={"wait": "0.5"})).json()
    waiting = found["waitingFor"]
    since = found["updatedAt"]
    day = 86_400_000_000
    assert waiting[1]["until"] - waiting[1]["since"] == 2 * day
    assert [one.pop("since") <= since for one in waiting] == [True] * 5
    assert [one.pop("until", 0) > since for one in waiting] == [True, True, False, True, False]
    assert waiting == [
        {"kind": "activity", "name": "fails", "attempt": 2},
        {"kind": "event", "name": "item"},
        {"kind": "event", "name": "other"},
        {"kind": "timer", "purpose": "timeout"},
        {"kind": "orchestration", "name": "waits", "instanceId": "child"},
    ]
    assert "waitingFor" not in (await http.get("/instances/b?waitingFor=false")).json()


async def test_steering_takes_a_reason_or_nothing(http: httpx2.AsyncClient) -> None:
    await started(http, name="waits", instanceId="w")
    assert (await http.post("/instances/w/suspend")).status_code == 204
    assert (await http.post("/instances/w/suspend", json={})).status_code == 409
    assert (await http.post("/instances/w/resume", json={"reason": "back"})).status_code == 204
    assert (await http.post("/instances/w/terminate", json={"reason": "ü"})).status_code == 204
    assert (await http.get("/instances/w?wait=20")).json()["output"] == '"ü"'
    assert (await http.post("/instances/w/terminate")).status_code == 410
    assert (await http.delete("/instances/w")).status_code == 204
    assert (await http.delete("/instances/w")).status_code == 404
    assert (await http.get("/instances/w/history")).status_code == 404


async def test_a_page_goes_on_where_the_last_ended(http: httpx2.AsyncClient) -> None:
    for name in ("a", "b", "c"):
        await started(http, name="waits", instanceId=name)
    seen: list[list[str]] = []
    query: dict[str, str | None] = {"limit": "2", "payloads": "false"}
    while len(seen) < 9:
        page = (await http.get("/instances", params=query)).json()
        seen.append([record["instanceId"] for record in page["records"]])
        query["after"] = page["after"]
        if query["after"] is None:
            break
    assert seen == [["c", "b"], ["a"]]
    query = {"status": "running, PENDING", "createdTo": "2999-01-01T00:00:00 02:00"}
    assert len((await http.get("/instances", params=query)).json()["records"]) == 3


START = "POST", "/instances"
BAD: tuple[tuple[tuple[str, str], Any, int, str], ...] = (
    (START, None, 400, "needs a body"),
    (START, "{", 400, "Invalid JSON"),
    (START, "[]", 400, "does not fit: Expected `object`"),
    (START, {}, 400, "missing required field `name`"),
    (START, {"name": 1}, 400, r"\$\.name"),
    (START, {"name": "waits", "instance_id": "x"}, 400, "unknown field `instance_id`"),
    (START, {"name": "wait"}, 400, "did you mean 'waits'"),
    (START, {"name": "book_trip", "input": {"city": 3}}, 400, r"\$\.city"),
    (START, {"name": "book_trip"}, 400, "trip"),
    (START, {"name": "waits", "instanceId": "a/b"}, 400, "not allowed"),
    (START, {"name": "waits", "executionId": "mine"}, 400, "executionId must be 32"),
    (START, {"name": "waits", "executionId": EXECUTION.upper()}, 400, "executionId must be 32"),
    (START, {"name": "waits", "scheduledAt": -1}, 400, "scheduledAt"),
    (START, {"name": "waits", "scheduledAt": 2**60}, 400, "scheduledAt"),
    (START, {"name": "waits", "reuse": "sometimes"}, 400, r"\$\.reuse"),
    (START, {"name": "waits", "tags": {"a": 1}}, 400, r"\$\.tags"),
    (START, {"name": "waits", "input": "x" * 10_000}, 413, r"limits\.payload_bytes"),
    (("GET", "/instances/nobody"), None, 404, "does not exist"),
    (("GET", "/instances/@nobody"), None, 400, "reserved for entities"),
    (("GET", "/instances/x?wait=61"), None, 400, "wait must be a number from 0 to 60"),
    (("GET", "/instances/x?wait=nan"), None, 400, "wait must be"),
    (("GET", "/instances?status=Runing"), None, 400, "got 'Runing'"),
    (("GET", "/instances?limit=0"), None, 400, "limit must be a whole number"),
    (("GET", "/instances?limit=1001"), None, 400, "limit must be a whole number"),
    (("GET", "/instances?limit=1e2"), None, 400, "limit must be a whole number"),
    (("GET", "/instances?after=mine"), None, 400, "page token"),
    (("GET", "/instances?payloads=maybe"), None, 400, "true or false"),
    (("GET", "/instances?createdFrom=yesterday"), None, 400, "must be a time such as"),
    (("GET", "/instances?name=a&name=b"), None, 400, "given 2 times"),
    (("GET", "/dead-letters?limit=x"), None, 400, "limit must be"),
    (("POST", "/dead-letters/acknowledge"), None, 400, "needs a body"),
    (("POST", "/dead-letters/acknowledge"), {"ids": None}, 400, r"\$\.ids"),
    (("POST", "/dead-letters/acknowledge"), {"ids": [7]}, 400, r"\$\.ids"),
    (("GET", "/instances/nobody/steps/0"), None, 404, "does not exist"),
    (("GET", "/instances/nobody/steps/x"), None, 400, "must be a whole number"),
    (("GET", "/instances/nobody/steps/--1"), None, 400, "must be a whole number"),
    (("POST", "/instances/nobody/raise-event"), {"name": "e"}, 404, "does not exist"),
    (("POST", "/instances/nobody/raise-event"), {"name": ""}, 400, "needs a name"),
    (("POST", "/instances/nobody/raise-event"), None, 400, "needs a body"),
    (("POST", "/instances/nobody/suspend"), {"reason": 7}, 400, r"\$\.reason"),
    (("POST", "/instances/nobody/terminate"), {"reason": "x" * 10_001}, 413, "payload_bytes"),
    (("DELETE", "/instances/nobody?force=perhaps"), None, 400, "true or false"),
    (("PUT", "/instances"), None, 405, "answers GET, POST"),
    (("GET", "/instance"), None, 404, "there is nothing at"),
)


@pytest.mark.parametrize(("what", "body", "status", "said"), BAD, ids=lambda one: str(one)[:50])
async def test_bad_input_is_refused_whole_with_one_error(
    http: httpx2.AsyncClient, what: tuple[str, str], body: object, status: int, said: str
) -> None:
    content = body if isinstance(body, str) or body is None else json.dumps(body)
    answer = await http.request(*what, content=content)
    error = answer.json()
    assert answer.status_code == status
    assert error["code"].startswith("TN-")
    assert re.search(said, error["message"])
    assert (await http.get("/instances")).json()["records"] == []


async def test_the_functions_are_listed_with_what_they_take(http: httpx2.AsyncClient) -> None:
    found = (await http.get("/functions")).json()
    trip = found["orchestrators"][0]
    assert (trip["name"], trip["version"]) == ("book_trip", "3")
    assert trip["parameters"][0]["name"] == "trip"
    assert "Trip" in json.dumps(trip["parameters"][0]["schema"])
    activities = {one["name"]: one["parameters"] for one in found["activities"]}
    assert [(one["name"], one["required"]) for one in activities["book"]] == [
        ("trip", True),
        ("hotel", False),
    ]
    assert activities["takes"] == [{"name": "thing", "required": True}]
    assert found["httpRoutes"] == [
        {"name": "hello", "methods": ["GET"], "path": "/api/hello/{name}", "auth": "function"}
    ]


async def test_the_host_tells_its_settings_but_no_secret(http: httpx2.AsyncClient) -> None:
    answer = await http.get("/info")
    info = answer.json()
    assert info["storage"] == "sqlite"
    assert info["uptimeSeconds"] >= 0
    settings = {one["key"]: one for one in info["settings"]}
    assert settings["http.port"]["source"] == "option --port"
    assert settings["limits.payload_bytes"] == {
        "key": "limits.payload_bytes",
        "value": 10_000,
        "source": None,
    }
    assert KEY not in answer.text


@pytest.mark.parametrize("path", ["/info", "/functions", "/instances", "/dead-letters"])
async def test_nothing_is_told_without_a_key(server: Server, path: str) -> None:
    async with httpx2.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{server.url}/admin{path}")
        assert (answer.status_code, answer.json()["code"]) == (401, "TN-1701")
