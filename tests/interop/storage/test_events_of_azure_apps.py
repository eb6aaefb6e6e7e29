"""Functions of Azure Functions apps get events of Event Grid and messages of Tenuto's queues."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tenuto.engine.program import (
    Delivery,
    EventGridTrigger,
    QueueTrigger,
    RunnerMeans,
    TriggeredFunction,
)
from tenuto.host.clock import SystemClock
from tenuto.interop.azure_app.functions import FunctionFailedError
from tenuto.model.limits import Limits
from tests.support.azure_programs import LANGUAGES, azure_program, copied

PYTHON = """
import json
import os

import azure.functions as func

app = func.FunctionApp()


@app.queue_trigger(arg_name="msg", queue_name="orders", connection="NOT_THERE")
def order(msg: func.QueueMessage) -> None:
    told = [msg.id, msg.dequeue_count, msg.get_json(), msg.insertion_time.isoformat()]
    assert msg.expiration_time and msg.time_next_visible and msg.pop_receipt
    with open(os.environ["NOTED"], "a") as file:
        file.write(json.dumps(told))


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

app.storageQueue('order', {
    queueName: 'orders',
    connection: 'NOT_THERE',
    handler: (item, { triggerMetadata }) => {
        const { id, dequeueCount, insertionTime } = triggerMetadata;
        appendFileSync(process.env.NOTED, JSON.stringify([id, dequeueCount, item, insertionTime]));
    },
});

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


@asynccontextmanager
async def functions(language: str, folder: Path) -> AsyncIterator[Mapping[str, TriggeredFunction]]:
    """The functions of an app, by name, while its workers run: what listeners call."""
    made = folder / "events"
    made.mkdir()
    (made / "host.json").write_text('{"version": "2.0"}')
    if language == "python":
        (made / "function_app.py").write_text(PYTHON)
    else:
        (made / "app.js").write_text(JAVASCRIPT)
        (made / "package.json").write_text(json.dumps(PACKAGE))
    noted = str(folder / "noted")
    program = azure_program(copied(made, folder / "copied"), None, NOTED=noted)
    runner = program.make_runner(
        RunnerMeans(clock=SystemClock(), limits=Limits(), webhook_base=lambda: "")
    )
    runner.bind(lambda _works: None)
    try:
        yield {one.name: one for one in program.triggered}
    finally:
        await runner.stop()


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_function_gets_the_event(language: str, tmp_path: Path) -> None:
    noted = tmp_path / "noted"
    async with functions(language, tmp_path) as found:
        function = found["eventgrid_output"]
        assert isinstance(function.trigger, EventGridTrigger)
        await function.run(delivery(1))
        assert json.loads(noted.read_text()) == ["e1", "plate.read", {"plate": "B-XY 1"}]
        with pytest.raises(FunctionFailedError, match="as it was told"):
            await function.run(delivery(2, fails=True))
        noted.unlink()
        order = found["order"]
        assert isinstance(order.trigger, QueueTrigger)
        facts = {"queue": "orders", "queued_at": 1_700_000_000_000_000}
        await order.run(
            Delivery(id="m1", attempt=2, last_attempt=False, data={"item": 7}, facts=facts)
        )
        said = json.loads(noted.read_text())
        assert said == ["m1", 2, {"item": 7}, "2023-11-14T22:13:20+00:00"]


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
