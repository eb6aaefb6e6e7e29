"""The served OpenAPI document: complete, and true whatever is sent."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tenuto import App, Context
from tenuto.http.payloads import MOUNT
from tests.support.http_server import KEYS, READ_KEY, serving

OPERATIONS = 19
"""Those of the management API, with and without what may be left out."""


def make_app() -> App:
    app = App()

    @app.orchestrator
    async def echo(ctx: Context, value: Any) -> Any:  # noqa: ANN401 - any JSON
        return value

    @app.orchestrator
    async def approval(ctx: Context, value: Any) -> Any:  # noqa: ANN401 - any JSON
        return await ctx.wait_for_external_event("Approval")

    return app


@pytest.fixture
def url() -> Iterator[str]:
    """A server in a thread of its own: the tool that calls it blocks."""
    ready: list[str] = []
    begun, done = threading.Event(), threading.Event()

    async def run() -> None:
        async with serving(make_app()) as serve:
            for number in range(3):
                await serve.start("echo", number, instance_id=f"ended-{number}")
                await serve.start("approval", number, instance_id=f"waiting-{number}")
            ready.append(serve.url)
            begun.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        assert begun.wait(20)
        yield ready[0]
    finally:
        done.set()
        thread.join(20)


def _schema(url: str) -> Any:  # noqa: ANN401 - the tool's own type
    wrong_state = ["409", "410", "501"]
    config = SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "checks": {
                # 404 here, as Durable Functions has it: shown in test_http_management.
                "unsupported_method": {"enabled": False},
                # A state that does not fit is no wrong input; what does not exist yet says so.
                "positive_data_acceptance": {
                    "expected-statuses": ["2xx", "401", "403", "404", *wrong_state]
                },
                "negative_data_rejection": {
                    "expected-statuses": ["400", "401", "403", "404", *wrong_state]
                },
                "not_a_server_error": {"expected-statuses": ["2xx", "4xx", "501"]},
            },
        }
    )
    found = schemathesis.openapi.from_dict(httpx2.get(f"{url}/openapi.json").json(), config=config)
    found.config.update(base_url=url)
    return found


@pytest.mark.timeout(300)  # some six hundred requests, and the generation of what they hold
def test_no_answer_is_undeclared_whatever_is_sent(url: str) -> None:
    operations = [one.ok() for one in _schema(url).get_all_operations()]
    told = [one for one in operations if one.definition.raw.get("tags") and not _streams(one)]
    wrong: list[str] = []
    for operation in told:
        # Names of functions and the like are no matter of a schema there.
        is_own = operation.path.startswith((MOUNT, "/openapi.json"))
        excluded = [] if is_own else [positive_data_acceptance]
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            for number, case in enumerate(_cases(operation, mode, 12 if is_own else 6)):
                _keep_nobody_waiting(case)
                if mode is GenerationMode.POSITIVE:
                    _make_it_meet_something(case, number)
                try:
                    case.call_and_validate(timeout=10, excluded_checks=excluded)
                except FailureGroup as failures:
                    wrong += [f"{operation.label}: {failure}" for failure in failures.exceptions]
    assert not wrong, "\n\n".join(wrong[:10])
    assert len([one for one in told if one.path.startswith(MOUNT)]) == OPERATIONS


async def test_every_answer_of_the_server_itself_is_declared_one_by_one() -> None:
    async with serving(make_app()) as serve:
        found = (await serve.http.get("/openapi.json")).json()["paths"]
    told = {
        f"{method} {path}": one
        for path, methods in found.items()
        for method, one in methods.items()
    }
    assert {name for name, one in told.items() if "default" in one["responses"]} == set()
    assert {name for name, one in told.items() if not one.get("tags")} == set()
    # Callers by a foreign name, and pages of other origins.
    assert {name for name, one in told.items() if "403" not in one["responses"]} == set()
    restart = told[f"post {MOUNT}/instances/{{instanceId}}/restart"]
    assert "413" in restart["responses"]


async def test_terminate_of_the_admin_api_declares_recurse() -> None:
    async with serving(make_app()) as serve:
        document = (await serve.http.get("/openapi.json")).json()
    terminate = document["paths"]["/admin/instances/{instanceId}/terminate"]["post"]
    body = terminate["requestBody"]
    name = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    assert not body["required"]
    assert set(document["components"]["schemas"][name]["properties"]) == {"reason", "recurse"}


def _streams(operation: Any) -> bool:  # noqa: ANN401 - the tool's own type
    return "text/event-stream" in str(operation.definition.raw.get("responses"))


def _cases(operation: Any, mode: GenerationMode, examples: int) -> list[Any]:  # noqa: ANN401 - the tool's own types
    """Some for each run: the tool also takes constants from whatever modules are loaded. None where
    nothing can be wrong.
    """
    found: list[Any] = []

    @settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def collect(case: Any) -> None:  # noqa: ANN401 - the tool's own type
        assume(mode is GenerationMode.POSITIVE or not _looks_right_once_sent(case))
        found.append(case)

    with suppress(Unsatisfiable):
        collect()
    return found


def _looks_right_once_sent(case: Any) -> bool:  # noqa: ANN401 - the tool's own type
    """Whether what is wrong may be lost on the way.

    A list of one is sent as its only item, and what is empty counts as not given.
    """
    values = (case.query or {}).values()
    return any(
        one in ("", None) or (isinstance(one, list | dict) and len(one) < 2) for one in values
    )


@pytest.mark.parametrize(
    "path",
    [
        f"{MOUNT}/instances?createdTimeFrom=&createdTimeTo=&runtimeStatus=&showInput=&top=",
        "/admin/instances?createdFrom=&createdTo=&payloads=",
    ],
)
async def test_an_empty_value_counts_as_not_given(path: str) -> None:
    async with serving(make_app()) as serve:
        for number in range(3):
            await serve.start("approval", number, instance_id=f"a-{number}")
        answer = await serve.http.get(path)
        assert answer.status_code == 200, answer.text
        assert answer.text.count('"instanceId"') == 3


def _keep_nobody_waiting(case: Any) -> None:  # noqa: ANN401 - the tool's own type
    """For what never ends. A time that is none stays: what is wrong in a case may be that."""
    with suppress(TypeError, ValueError):
        if case.query and 0 <= float(case.query.get("timeout")) <= 600:
            del case.query["timeout"]


def _make_it_meet_something(case: Any, number: int) -> None:  # noqa: ANN401 - the tool's own type
    """Random ids meet nothing."""
    # Durable Functions answers 400, not 404, to the restart of what is not there.
    always = case.operation.path.endswith("/restart")
    parameters = case.path_parameters or {}
    if "instanceId" in parameters and "functionName" not in parameters and (always or number % 2):
        parameters["instanceId"] = f"{('ended', 'waiting')[number // 2 % 2]}-{number % 3}"


async def test_the_document_says_where_it_is_and_needs_a_key_when_there_are_keys() -> None:
    async with serving(make_app(), keys=KEYS) as serve:
        assert (await serve.http.get("/openapi.json")).status_code == 401
        answer = await serve.http.get("/openapi.json", headers={"x-functions-key": READ_KEY})
        found = answer.json()
        assert found["openapi"] == "3.1.0"
        assert found["servers"] == [{"url": serve.url}]
        assert set(found["components"]["securitySchemes"]) == {"header", "query", "bearer"}
        start = found["paths"][f"{MOUNT}/orchestrators/{{functionName}}"]["post"]
        assert start["parameters"][0]["schema"]["enum"] == ["approval", "echo"]
        assert {"202", "200", "400", "401", "403", "409", "413"} <= set(start["responses"])
        assert len(start["security"]) == 3
        identities = [
            one["operationId"] for path in found["paths"].values() for one in path.values()
        ]
        assert len(identities) == len(set(identities))
