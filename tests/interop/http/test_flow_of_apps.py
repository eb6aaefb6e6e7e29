"""An approval, as such an app has it: started, decided and followed over HTTP by people."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import httpx2
import pytest

from tenuto.http.options import AccessKey
from tenuto.interop.azure_app.program import AzureProgram
from tests.support.azure_programs import azure_program, copied
from tests.support.http_server import KEYS, OPERATE_KEY, Serving, serving

APPS = Path(__file__).with_name("apps")


@pytest.fixture(params=["javascript", "python"])
async def program(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AzureProgram]:
    root = copied(APPS / request.param, tmp_path)
    found = await asyncio.to_thread(azure_program, root)
    yield found
    found.close()


async def approved(serve: Serving, headers: Mapping[str, str]) -> None:
    """Go the way that people go, with nothing but what they were answered."""
    started = await serve.http.post("/api/approvals/trip", headers=headers)
    assert started.status_code == 202, started.text
    links = started.json()
    assert started.headers["location"] == links["statusQueryGetUri"]
    assert links["statusQueryGetUri"].startswith(f"{serve.url}/runtime/webhooks/durabletask/")
    async with httpx2.AsyncClient() as people:
        assert (await people.get(links["statusQueryGetUri"])).json()["name"] == "Approval"
        decided = await people.put(f"{serve.url}/api/approvals/{links['id']}/Ada?tag=x&tag=y")
        assert decided.status_code == 201, decided.text
        assert decided.json() == {"by": "Ada", "tags": ["x", "y"]}
        assert decided.headers["x-by"] == "Ada"
        cookies = decided.headers.get_list("set-cookie")
        assert [one.partition(";")[0] for one in cookies] == ["a=1", "b=2"]
        await serve.server.host.client.wait(links["id"])
        ended = (await people.get(links["statusQueryGetUri"])).json()
        assert (ended["runtimeStatus"], ended["output"]) == ("Completed", "trip by Ada: approved")


async def test_an_approval_on_a_server_without_keys(program: AzureProgram) -> None:
    async with serving(program) as serve:
        await approved(serve, {})
        assert (await serve.http.post("/api/approvals/trip7")).status_code == 405


async def test_an_approval_on_a_server_with_keys(
    program: AzureProgram, caplog: pytest.LogCaptureFixture
) -> None:
    own = AccessKey(key="own-key-of-start-01234", functions=("start",))
    async with serving(program, keys={**KEYS, "own": own}, access_log=True) as serve:
        assert (await serve.http.post("/api/approvals/trip")).status_code == 401
        await approved(serve, {"x-functions-key": own.key})
        await approved(serve, {"x-functions-key": OPERATE_KEY})
        broken = await serve.http.get("/api/broken")
        assert broken.status_code == 500
        binding = serve.server.host.client_binding(None) or ""
        token = binding.partition("/durabletask/")[2].partition("/")[0]
        system_key = serve.server.host.client_binding(None) and binding.partition("code=")[2][:46]
        assert token
        assert system_key
        assert token not in caplog.text
        assert system_key not in caplog.text
