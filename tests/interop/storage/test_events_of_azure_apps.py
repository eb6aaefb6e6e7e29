"""Functions of Azure Functions apps that Event Grid starts get the event, in both languages."""

import asyncio
import json
from pathlib import Path

import pytest

from tenuto.engine.program import Delivery, EventGridTrigger, RunnerMeans
from tenuto.host.clock import SystemClock
from tenuto.interop.azure_app.functions import FunctionFailedError
from tenuto.model.limits import Limits
from tests.support.azure_programs import LANGUAGES, azure_program, copied

PYTHON = """
import json
import os

import azure.functions as func

app = func.FunctionApp()


@app.function_name(name="eventgrid_output")
@app.event_grid_trigger(arg_name="eventGridEvent")
def eventgrid_trigger(eventGridEvent: func.EventGridEvent):
    told = [eventGridEvent.id, eventGridEvent.event_type, eventGridEvent.get_json()]
    with open(os.environ["NOTED"], "a") as file:
        file.write(json.dumps(told))
    if eventGridEvent.get_json().get("fails"):
        raise ValueError("as it was told")
"""
JAVASCRIPT = """
const { appendFileSync } = require('node:fs');
const { app } = require('@azure/functions');

app.eventGrid('eventgrid_output', {
    handler: ({ id, eventType, data }) => {
        appendFileSync(process.env.NOTED, JSON.stringify([id, eventType, data]));
        if (data.fails) throw new Error('as it was told');
    },
});
"""
PACKAGE = {
    "name": "events",
    "private": True,
    "main": "app.js",
    "dependencies": {"@azure/functions": "4.16.5", "durable-functions": "3.5.0"},
}


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_function_gets_the_event(language: str, tmp_path: Path) -> None:
    made = tmp_path / "events"
    made.mkdir()
    (made / "host.json").write_text('{"version": "2.0"}')
    if language == "python":
        (made / "function_app.py").write_text(PYTHON)
    else:
        (made / "app.js").write_text(JAVASCRIPT)
        (made / "package.json").write_text(json.dumps(PACKAGE))
    noted = tmp_path / "noted"
    program = azure_program(copied(made, tmp_path / "copied"), None, NOTED=str(noted))
    (function,) = program.triggered
    assert isinstance(function.trigger, EventGridTrigger)
    runner = program.make_runner(
        RunnerMeans(clock=SystemClock(), limits=Limits(), webhook_base=lambda: "")
    )
    runner.bind(lambda _works: None)
    try:
        await function.run(delivery(1))
        assert json.loads(noted.read_text()) == ["e1", "plate.read", {"plate": "B-XY 1"}]
        with pytest.raises(FunctionFailedError, match="as it was told"):
            await function.run(delivery(2, fails=True))
    finally:
        await asyncio.shield(runner.stop())


def delivery(number: int, **more: object) -> Delivery:
    event = {
        "id": f"e{number}",
        "topic": "/plates",
        "subject": "plates/7",
        "eventType": "plate.read",
        "eventTime": "2026-11-30T08:00:00Z",
        "dataVersion": "1",
        "data": {"plate": "B-XY 1", **more},
    }
    return Delivery(id=f"e{number}", attempt=1, last_attempt=False, data=event, facts={})
