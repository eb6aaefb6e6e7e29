"""S5: who may only look gets no address that can be used; who operates does."""

import asyncio
from datetime import timedelta

import httpx2

from tenuto import App, Context
from tenuto.http.options import AccessKey, HttpSettings, Role
from tenuto.model.explanation import QuestionWait
from tenuto.testing import TestHost
from tests.support.http_in_process import http_to

READ, OPERATE = "a-key-that-reads-1", "a-key-that-operates"
KEYS = HttpSettings(
    keys={
        "reader": AccessKey(key=READ, role=Role.READ),
        "operator": AccessKey(key=OPERATE, role=Role.OPERATE),
    }
)
DF = "/runtime/webhooks/durabletask/instances"


async def texts(http: httpx2.AsyncClient, key: str) -> list[str]:
    """What a key gets to see of the instance, wherever it may look."""
    paths = [
        "/admin/instances/one",
        "/admin/instances/one/history",
        "/admin/instances",
        f"{DF}/one?showHistory=true&showHistoryOutput=true&showInput=true&showExplanation=true",
        DF,
    ]
    answers = [await http.get(path, headers={"x-functions-key": key}) for path in paths]
    assert {one.status_code for one in answers} <= {200, 202}
    return [one.text for one in answers]


async def test_a_key_that_reads_sees_no_usable_address(app: App, test: TestHost) -> None:
    @app.activity
    def send(link: str) -> dict[str, str]:
        return {"sent": f"see {link} now"}

    @app.orchestrator
    async def asking(ctx: Context) -> bool:
        question = ctx.ask("Ship it?", timeout=timedelta(days=1))
        url = await question.url
        ctx.set_custom_status({"link": url})
        await ctx.call_activity(send, url)
        await ctx.create_webhook("go", expires_in=timedelta(days=1))
        return await question

    async with http_to(test, app, KEYS) as http:
        handle = await test.start(asking, instance_id="one")
        await test.idle()
        (question,) = await test.client.questions("one")
        assert question.url is not None
        token = question.url.rpartition("/")[2]
        open_ones = await texts(http, OPERATE)
        assert all(token in text for text in open_ones)
        masked = await texts(http, READ)
        assert all("/callbacks/one/***" in text for text in masked)
        assert all(token not in text for text in masked)
        refused = await http.post(
            "/admin/instances/one/answer", json={"answer": True}, headers={"x-functions-key": READ}
        )
        assert refused.status_code == 403
        for wrong, status in (({"answer": "yes"}, 400), ({"answer": 1, "question": "x"}, 409)):
            answer = await http.post(
                "/admin/instances/one/answer", json=wrong, headers={"x-functions-key": OPERATE}
            )
            assert answer.status_code == status
        done = await http.post(
            "/admin/instances/one/answer",
            json={"answer": True, "question": "Ship it?", "by": "ada"},
            headers={"x-functions-key": OPERATE},
        )
        assert done.status_code == 204
        assert await handle.result() is True


async def test_live_updates_are_masked_too(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def asking(ctx: Context) -> bool:
        question = ctx.ask("Ship it?")
        await ctx.wait_for_external_event("go")
        ctx.set_custom_status(await question.url)
        return await question

    async with http_to(test, app, KEYS) as http:
        handle = await test.start(asking, instance_id="one")
        await test.idle()

        async def followed() -> str:
            answer = await http.get(
                "/admin/instances/one/events", headers={"x-functions-key": READ}
            )
            return answer.text

        following = asyncio.create_task(followed())
        await asyncio.sleep(0)
        await handle.raise_event("go")
        await test.answer("one", True)
        text = await following
        assert "/callbacks/one/***" in text


async def test_what_a_person_is_asked_is_explained(app: App, test: TestHost) -> None:
    @app.orchestrator
    async def asking(ctx: Context) -> list[bool]:
        return list(await ctx.task_all([ctx.ask("A?", timeout=timedelta(days=1)), ctx.ask("B?")]))

    await test.start(asking, instance_id="one")
    await test.idle()
    a, b = await test.client.questions("one")
    explanation = await test.explain("one")
    assert explanation.facts == (
        QuestionWait(id=a.number, title="A?", since=a.since, until=a.until, url=a.url or ""),
        QuestionWait(id=b.number, title="B?", since=b.since, url=b.url or ""),
    )
    assert explanation.sentence.startswith(
        f"waits for a person to answer 'A?' at {a.url} since 2026-01-01 00:00:00Z (0 ms), until "
    )
    assert explanation.advice == f"tenuto instances answer one ANSWER --question {a.number}"
    await test.answer("one", True, question="A?")
    await test.idle()
    assert (await test.explain("one")).advice == "tenuto instances answer one ANSWER"
    async with http_to(test, app) as http:
        (wait,) = (await http.get("/admin/instances/one")).json()["waitingFor"]
        assert (wait["kind"], wait["name"], wait["url"]) == ("question", "B?", b.url)
