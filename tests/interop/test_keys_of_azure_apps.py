"""Who may call HTTP functions of Azure Functions apps: levels, keys, and the links in answers."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.azure_programs import LANGUAGES, azure_program, copied
from tests.support.http_server import ADMIN_KEY, KEYS, OPERATE_KEY, READ_KEY, Serving, serving

HOST_JSON = """
{
  "version": "2.0",
  "extensions": { "durableTask": { "hubName": "%HUB%" } }
}
"""
JAVASCRIPT = """
const { app } = require('@azure/functions');
const df = require('durable-functions');

const answer = (name) => () => ({ body: name });
app.http('usual', { handler: answer('usual') });
app.http('open', { authLevel: 'anonymous', handler: answer('open') });
app.http('closed', { authLevel: 'function', handler: answer('closed') });
app.http('inner', { authLevel: 'admin', handler: answer('inner') });
df.app.orchestration('waits', function* (context) {
    return yield context.df.waitForExternalEvent('go');
});
app.http('start', {
    methods: ['POST'],
    authLevel: 'function',
    extraInputs: [df.input.durableClient()],
    handler: async (request, context) => {
        const client = df.getClient(context);
        return client.createCheckStatusResponse(request, await client.startNew('waits'));
    },
});
"""
PACKAGE = """
{
  "name": "keys", "private": true, "main": "app.js",
  "dependencies": { "@azure/functions": "4.16.5", "durable-functions": "3.5.0" }
}
"""
PYTHON = """
import azure.durable_functions as df
import azure.functions as func

app = df.DFApp()


@app.route("usual")
def usual(req: func.HttpRequest) -> str:
    return "usual"


@app.route("open", auth_level=func.AuthLevel.ANONYMOUS)
def open(req: func.HttpRequest) -> str:
    return "open"


@app.route("closed", auth_level=func.AuthLevel.FUNCTION)
def closed(req: func.HttpRequest) -> str:
    return "closed"


@app.route("inner", auth_level=func.AuthLevel.ADMIN)
def inner(req: func.HttpRequest) -> str:
    return "inner"


@app.orchestration_trigger(context_name="context")
def waits(context):
    return (yield context.wait_for_external_event("go"))


@app.route("start", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client) -> func.HttpResponse:
    return client.create_check_status_response(req, await client.start_new("waits"))
"""
# Whom functions answer that say nothing of it.
USUAL = {"javascript": 200, "python": 401}


def made(language: str, folder: Path) -> Path:
    app = folder / "keys"
    app.mkdir()
    (app / "host.json").write_text(HOST_JSON)
    if language == "python":
        (app / "function_app.py").write_text(PYTHON)
    else:
        (app / "app.js").write_text(JAVASCRIPT)
        (app / "package.json").write_text(PACKAGE)
    return copied(app, folder / "copied")


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def serve(language: str, tmp_path: Path) -> AsyncIterator[Serving]:
    program = azure_program(made(language, tmp_path), HUB="TripsOfToday")
    async with serving(program, keys=KEYS) as running:
        yield running


async def status(serve: Serving, name: str, key: str | None = None) -> int:
    """The answer to a call with a key in its header; the same as with it in the query."""
    headers = {} if key is None else {"x-functions-key": key}
    by_header = await serve.http.get(f"/api/{name}", headers=headers)
    by_query = await serve.http.get(f"/api/{name}", params={} if key is None else {"code": key})
    assert by_header.status_code == by_query.status_code
    return by_header.status_code


async def test_levels_are_kept(serve: Serving, language: str) -> None:
    assert await status(serve, "usual") == USUAL[language]
    assert await status(serve, "usual", OPERATE_KEY) == 200
    assert await status(serve, "open") == 200
    assert await status(serve, "closed") == 401
    assert await status(serve, "closed", "a-wrong-key-0123456789") == 401
    assert await status(serve, "closed", READ_KEY) == 403
    assert await status(serve, "closed", OPERATE_KEY) == 200
    assert await status(serve, "inner") == 401
    assert await status(serve, "inner", OPERATE_KEY) == 403
    assert await status(serve, "inner", ADMIN_KEY) == 200


async def test_links_in_answers_open_their_instance_without_a_key(serve: Serving) -> None:
    assert (await serve.http.post("/api/start")).status_code == 401
    first, second = [
        (await serve.http.post("/api/start", headers={"x-functions-key": OPERATE_KEY})).json()
        for _ in range(2)
    ]
    assert "taskHub=TripsOfToday" in first["statusQueryGetUri"]
    assert (await serve.http.get(first["statusQueryGetUri"])).json()["instanceId"] == first["id"]
    # It is for this instance alone.
    other = first["statusQueryGetUri"].replace(first["id"], second["id"])
    assert (await serve.http.get(other)).status_code == 401
    event = first["sendEventPostUri"].replace("{eventName}", "go")
    assert (await serve.http.post(event, json=7)).status_code == 202
    await serve.server.host.client.wait(first["id"])
    assert (await serve.http.get(first["statusQueryGetUri"])).json()["output"] == 7
    end = second["terminatePostUri"].replace("{text}", "over")
    assert (await serve.http.post(end)).status_code == 202
    await serve.server.host.client.wait(second["id"])
    found = (await serve.http.get(second["statusQueryGetUri"])).json()
    assert found["runtimeStatus"] == "Terminated"
