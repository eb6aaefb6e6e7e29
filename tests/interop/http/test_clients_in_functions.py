"""Durable clients in functions of each kind of trigger, with all that the packages send of them."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tenuto.interop.azure_app.program import AzureProgram
from tenuto.testing import TestHost
from tests.support.azure_programs import azure_program, copied
from tests.support.http_server import serving

APPS = Path(__file__).with_name("apps")


@pytest.fixture(params=["javascript", "python"])
async def program(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AzureProgram]:
    root = copied(APPS / f"clients_{request.param}", tmp_path)
    found = await asyncio.to_thread(azure_program, root)
    yield found
    found.close()


async def test_functions_of_every_trigger_have_a_client(program: AzureProgram) -> None:
    async with serving(program) as serve:
        client = serve.server.host.client
        started = await serve.http.get("/api/start")
        assert started.status_code == 200, started.text
        # The package for Python sends its events as JSON in a text.
        told = (await serve.ended("of-the-request"))["output"]
        assert told in (started.text, json.dumps(started.text))
        assert (await serve.start("asks", instance_id="asks")).status_code == 202
        assert "told" in (await serve.ended("asks"))["output"]
        assert (await serve.http.get("/api/purge")).text == "1"
        await client.wait("of-the-timer")
        assert (await serve.status("of-the-timer")).json()["runtimeStatus"] == "Terminated"


async def test_an_activity_with_a_client_fails_in_words_without_a_server(
    program: AzureProgram,
) -> None:
    async with TestHost(program) as test:
        handle = await test.client.start("asks")
        with pytest.raises(Exception, match="run the app with a server"):
            await handle.result()
