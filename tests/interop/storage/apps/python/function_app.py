"""Functions in the shapes in which the documentation of Azure Functions shows its bindings."""

import json
import logging
import os
import uuid
from pathlib import Path

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


# --- queues


@app.function_name(name="QueueFunc")
@app.queue_trigger(arg_name="msg", queue_name="pythonitems", connection="STORAGE_CONNECTION")
@app.queue_output(arg_name="told", queue_name="pythontold", connection="STORAGE_CONNECTION")
def test_function(msg: func.QueueMessage, told: func.Out[str]) -> None:
    logging.info("Python queue trigger function processed %s", msg.get_body().decode("utf-8"))
    result = {
        "id": msg.id,
        "body": msg.get_body().decode("utf-8"),
        "expiration_time": msg.expiration_time.isoformat(),
        "insertion_time": msg.insertion_time.isoformat(),
        "time_next_visible": msg.time_next_visible.isoformat(),
        "pop_receipt": bool(msg.pop_receipt),
        "dequeue_count": msg.dequeue_count,
    }
    told.set(json.dumps(result))


@app.route(route="message")
@app.queue_output(arg_name="msg", queue_name="%OUT_QUEUE%", connection="AzureWebJobsStorage")
def QueueOutput1(req: func.HttpRequest, msg: func.Out[str]) -> func.HttpResponse:  # noqa: N802
    msg.set(req.params.get("name"))
    return func.HttpResponse("OK")


@app.route(route="messages")
@app.queue_output(arg_name="msg", queue_name="%OUT_QUEUE%", connection="AzureWebJobsStorage")
def many(req: func.HttpRequest, msg: func.Out[list[str]]) -> func.HttpResponse:
    msg.set(["one", "two"])
    return func.HttpResponse("OK")


@app.route(route="returned", binding_arg_name="resp")
@app.queue_output(arg_name="$return", queue_name="%OUT_QUEUE%", connection="AzureWebJobsStorage")
def returned(req: func.HttpRequest, resp: func.Out[func.HttpResponse]) -> func.QueueMessage:
    resp.set(func.HttpResponse("both", status_code=202))
    return func.QueueMessage(body=b"an object of the package")


@app.timer_trigger(schedule="0 0 0 1 1 *", arg_name="timer", run_on_startup=True)
@app.queue_output(arg_name="$return", queue_name="pythontick", connection="")
def tick(timer: func.TimerRequest) -> str:
    return "ticked"


@app.queue_trigger(arg_name="msg", queue_name="pythonfails", connection="AzureWebJobsStorage")
def fails(msg: str) -> None:
    with Path(os.environ["NOTED"]).open("a") as file:
        file.write(msg + "\n")
    raise ValueError("it always fails")


# --- queues of Tenuto: the setting is not there


@app.route(route="own")
@app.queue_output(arg_name="msg", queue_name="own", connection="NOT_THERE")
def own(req: func.HttpRequest, msg: func.Out[str]) -> str:
    msg.set(json.dumps({"name": req.params["name"]}))
    return "queued"


# --- blobs


@app.function_name(name="BlobTrigger1")
@app.blob_trigger(
    arg_name="myblob", path="pythonplates/{name}.{ext}", connection="AzureWebJobsStorage"
)
@app.blob_output(
    arg_name="copy", path="pythoncopies/{name}-%COPY%.{ext}", connection="AzureWebJobsStorage"
)
@app.queue_output(arg_name="told", queue_name="pythonplatestold", connection="AzureWebJobsStorage")
def blob_trigger(myblob: func.InputStream, copy: func.Out[bytes], told: func.Out[str]) -> None:
    content = myblob.read()
    if content == b"bad":
        with Path(os.environ["NOTED"]).open("a") as file:
            file.write(f"{myblob.name}\n")
        raise ValueError("no plate")
    copy.set(content)
    said = {
        "name": myblob.name,
        "uri": myblob.uri,
        "length": myblob.length,
        "type": myblob.blob_properties["ContentType"],
        "metadata": myblob.metadata,
    }
    told.set(json.dumps(said))


@app.queue_trigger(arg_name="msg", queue_name="pythoncopy", connection="AzureWebJobsStorage")
@app.blob_input(
    arg_name="inputblob", path="pythonsamples/{queueTrigger}", connection="AzureWebJobsStorage"
)
@app.blob_output(
    arg_name="outputblob",
    path="pythonsamples/{queueTrigger}-Copy",
    connection="AzureWebJobsStorage",
)
def copy_blob(msg: func.QueueMessage, inputblob: str, outputblob: func.Out[str]) -> None:
    outputblob.set(inputblob)


@app.route(route="file/{name}")
@app.blob_input(arg_name="file", path="pythonsamples/{name}", connection="AzureWebJobsStorage")
def file(req: func.HttpRequest, file: func.InputStream) -> func.HttpResponse:
    if file is None:
        return func.HttpResponse("none", status_code=404)
    return func.HttpResponse(file.read(), mimetype="application/octet-stream")


# --- tables


@app.route(route="table_out_binding")
@app.table_output(
    arg_name="message",
    connection="AzureWebJobsStorage",
    table_name="pythonmessages",
    partition_key="message",
)
def table_out_binding(req: func.HttpRequest, message: func.Out[str]) -> func.HttpResponse:
    row_key = str(uuid.uuid4())
    data = {"Name": "Output binding message", "Size": 4_000_000_000, "RowKey": row_key}
    message.set(json.dumps(data))
    return func.HttpResponse(f"Message created with the rowKey: {row_key}")


@app.route(route="products/{id}")
@app.table_input(
    arg_name="product",
    connection="AzureWebJobsStorage",
    table_name="pythonproducts",
    row_key="{id}",
    partition_key="products",
)
def product(req: func.HttpRequest, product) -> func.HttpResponse:
    return func.HttpResponse(product or "none", mimetype="application/json")


@app.route(route="list")
@app.table_input(
    arg_name="products",
    connection="AzureWebJobsStorage",
    table_name="pythonproducts",
    partition_key="products",
    filter="Name ne '{Query.without}'",
    take=2,
)
def listed(req: func.HttpRequest, products) -> func.HttpResponse:
    return func.HttpResponse(products, mimetype="application/json")


# --- Event Grid


@app.function_name(name="eventgrid_output")
@app.event_grid_trigger(arg_name="eventGridEvent")
@app.queue_output(arg_name="told", queue_name="pythonevents", connection="AzureWebJobsStorage")
def eventgrid_trigger(eventGridEvent: func.EventGridEvent, told: func.Out[str]) -> None:  # noqa: N803
    said = [
        eventGridEvent.id,
        eventGridEvent.event_type,
        eventGridEvent.subject,
        eventGridEvent.get_json(),
    ]
    told.set(json.dumps(said))


# --- durable functions


@app.queue_trigger(arg_name="msg", queue_name="pythonstart", connection="AzureWebJobsStorage")
@app.durable_client_input(client_name="client")
async def starter(msg: func.QueueMessage, client) -> None:
    said = msg.get_json()
    await client.start_new("trip", instance_id=said["trip"], client_input=said)


@app.orchestration_trigger(context_name="context")
def trip(context: df.DurableOrchestrationContext):
    written = yield context.call_activity("write", context.get_input())
    read = yield context.call_activity("read", {"trip": context.instance_id})
    said = []
    for name in ("unread", "unwritten"):
        try:
            yield context.call_activity(name, {"trip": context.instance_id})
        except Exception as error:
            said.append(str(error))
    return [written, read, *said]


@app.activity_trigger(input_name="trip")
@app.blob_input(arg_name="report", path="pythontrips/{nobody}", connection="AzureWebJobsStorage")
def unread(trip, report: str) -> str:
    raise AssertionError(report)


@app.activity_trigger(input_name="trip")
@app.table_output(arg_name="row", table_name="pythonrows", connection="AzureWebJobsStorage")
def unwritten(trip, row: func.Out[str]) -> str:
    row.set(json.dumps({"PartitionKey": "p"}))
    return "never seen"


@app.activity_trigger(input_name="trip")
@app.blob_output(
    arg_name="report", path="pythontrips/{instanceId}.txt", connection="AzureWebJobsStorage"
)
@app.queue_output(arg_name="told", queue_name="pythontripstold", connection="AzureWebJobsStorage")
def write(trip, report: func.Out[str], told: func.Out[str]) -> str:
    report.set(f"to {trip['to']}")
    told.set(f"trip {trip['trip']}")
    return "written"


@app.activity_trigger(input_name="trip")
@app.blob_input(arg_name="report", path="pythontrips/{trip}.txt", connection="AzureWebJobsStorage")
def read(trip, report: str) -> str:
    return report
