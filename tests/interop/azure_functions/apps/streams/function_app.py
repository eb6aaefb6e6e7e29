"""Functions that stream, as the app in JavaScript has them (tests/interop/node/apps/streams)."""

import asyncio
import hashlib
import logging
import os
import resource
import signal
import time
from pathlib import Path

import azure.durable_functions as df
import azure.functions as func
from azurefunctions.extensions.http.fastapi import (
    FileResponse,
    JSONResponse,
    Request,
    Response,
    StreamingResponse,
)
from fastapi import BackgroundTasks, HTTPException
from pydantic import BaseModel

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

NOTED = Path(os.environ["NOTED"])
GET, POST, PUT = func.HttpMethod.GET, func.HttpMethod.POST, func.HttpMethod.PUT


def note(text):
    with NOTED.open("a") as noted:
        noted.write(f"{text}\n")


def pieces(count, size):
    """Many pieces, each made when the one before was taken."""
    for number in range(count):
        yield bytes([number % 256]) * size


@app.route(route="large", methods=[GET])
async def large(req: Request) -> StreamingResponse:
    megabytes = int(req.query_params["megabytes"])

    async def long():
        for piece in pieces(megabytes * 16, 65_536):
            yield piece

    return StreamingResponse(long(), headers={"x-own": "large"})


@app.route(route="own", methods=[GET])
def own(req: Request) -> StreamingResponse:
    """A sync function, and a sync iterator."""
    return StreamingResponse(pieces(160, 65_536), status_code=201)


@app.route(route="digest/{name}", methods=[POST, PUT])
async def digest(req: Request) -> JSONResponse:
    seen, length = hashlib.sha256(), 0
    async for piece in req.stream():
        if piece and not length:
            note("the first piece")
        seen.update(piece)
        length += len(piece)
    told = {
        "name": req.path_params["name"],
        "length": length,
        "sha256": seen.hexdigest(),
        "url": str(req.url),
        "method": req.method,
    }
    answer = JSONResponse(told)
    answer.set_cookie("a", "1", samesite=None)
    answer.set_cookie("b", "2", path=None, httponly=True, samesite=None)
    return answer


@app.route(route="echo", methods=[POST])
async def echo(req: Request) -> StreamingResponse:
    """Says each piece of what it reads back, before the next has come."""
    return StreamingResponse(req.stream())


waiting = {}


async def told(text):
    """Ends when a test has called `tell` with this text."""
    waiting[text] = asyncio.Event()
    await waiting[text].wait()


@app.route(route="tell/{text}", methods=[POST])
async def tell(req: Request) -> Response:
    event = waiting.pop(req.path_params["text"], None)
    if event is not None:
        event.set()
    return Response(status_code=404 if event is None else 200)


@app.route(route="events", methods=[GET])
async def events(req: Request) -> StreamingResponse:
    async def some():
        for text in ("one", "two", "three"):
            logging.info("about to say %s", text)
            yield f"data: {text}\n\n"
            await told(text)

    return StreamingResponse(some(), media_type="text/event-stream")


@app.route(route="breaks", methods=[GET])
async def breaks(req: Request) -> StreamingResponse:
    async def some():
        yield "the beginning"
        await told("break")
        raise ValueError("in the middle")

    return StreamingResponse(some())


@app.route(route="fails", methods=[GET, POST])
async def fails(req: Request) -> Response:
    raise ValueError("before its answer")


@app.route(route="fails_in_a_thread", methods=[GET, POST])
def fails_in_a_thread(req: Request) -> Response:
    raise ValueError("before its answer")


@app.route(route="unwritable", methods=[GET, POST])
async def unwritable(req: Request):
    return {"answer": object}


@app.route(route="nothing", methods=[GET])
async def nothing(req: Request) -> Response:
    return Response(status_code=204)


@app.route(route="none", methods=[GET])
async def none(req: Request):
    return None


@app.route(route="dies", methods=[GET])
async def dies(req: Request) -> Response:
    os._exit(3)


@app.route(route="endless", methods=[GET])
async def endless(req: Request) -> StreamingResponse:
    async def zeros():
        number = 0
        try:
            while True:
                note(f"piece {number}")
                number += 1
                yield bytes(65_536)
        finally:
            note("the end")

    return StreamingResponse(zeros())


@app.route(route="endless_in_threads", methods=[GET])
def endless_in_threads(req: Request) -> StreamingResponse:
    def zeros():
        number = 0
        try:
            while True:
                note(f"piece {number}")
                number += 1
                yield bytes(65_536)
        finally:
            note("the end")

    return StreamingResponse(zeros())


@app.route(route="tight", methods=[GET])
async def tight(req: Request) -> StreamingResponse:
    """Never lets go of the loop of its own accord."""

    async def zeros():
        try:
            while True:
                yield b"0"
        finally:
            note("the end")

    return StreamingResponse(zeros())


@app.route(route="patient", methods=[GET])
async def patient(req: Request) -> Response:
    note("it waits")
    try:
        await asyncio.Event().wait()
    finally:
        note("the end")


@app.route(route="slow", methods=[GET])
def slow(req: Request) -> Response:
    """A thread cannot be told that nobody waits."""
    note("it waits")
    while "go on" not in NOTED.read_text():
        time.sleep(0.01)
    note("the end")
    return Response("late")


@app.route(route="secret", methods=[GET], auth_level=func.AuthLevel.FUNCTION)
async def secret(req: Request) -> Response:
    return Response("known")


@app.route(route="after", methods=[GET])
async def after(req: Request) -> JSONResponse:
    tasks = BackgroundTasks()
    tasks.add_task(note, "the task behind it")
    return JSONResponse({"is": "said"}, background=tasks)


# --- what else may be returned ----------------------------------------------------------------


class Order(BaseModel):
    number: int


@app.route(route="text", methods=[GET])
async def text(req: Request) -> str:
    return "as FastAPI has it"


@app.route(route="model", methods=[GET])
async def model(req: Request) -> Order:
    return Order(number=7)


@app.route(route="whole", methods=[GET])
async def whole(req: Request):
    headers = {"x-own": "whole", "content-type": "text/csv"}
    return func.HttpResponse("a,b", status_code=203, headers=headers)


@app.route(route="file", methods=[GET])
async def file(req: Request) -> FileResponse:
    return FileResponse(__file__)


@app.route(route="refused", methods=[GET])
async def refused(req: Request) -> Response:
    raise HTTPException(status_code=418, detail="a teapot")


@app.route(route="output", methods=[GET])
@app.generic_output_binding(arg_name="answer", type="http")
async def output(req: Request, answer: func.Out[func.HttpResponse]) -> str:
    answer.set(func.HttpResponse("of the output", status_code=202))
    return "not this"


@app.route(route="memory", methods=[GET])
async def memory(req: Request) -> int:
    """The most that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@app.route(route="handlers", methods=[GET])
async def handlers(req: Request) -> list:
    """Who handles the signals of this process."""
    return [
        getattr(signal.getsignal(one), "__module__", None)
        for one in (signal.SIGINT, signal.SIGTERM)
    ]


@app.route(route="docs", methods=[GET])
async def docs(req: Request, context: func.Context) -> JSONResponse:
    return JSONResponse({"path": req.url.path, "function": context.function_name})


@app.route(route="headed")
async def headed(req: Request) -> Response:
    return Response("no body of an answer to HEAD", headers={"x-own": "headed"})


# --- durable ----------------------------------------------------------------------------------


@app.orchestration_trigger(context_name="context")
def hello(context):
    return "hello"


@app.activity_trigger(input_name="word")
def says(word):
    return word


@app.route(route="start", methods=[POST])
@app.durable_client_input(client_name="client")
async def start(req: Request, client):
    return client.create_check_status_response(None, await client.start_new("hello"))
