"""One orchestrator for each thing that Durable Functions can do, written as its users write them.

Events that some of them wait for: ``any_timer`` and ``cancel_step`` one called "go", within the
hour; ``early_events`` three called "early"; ``sms`` three called "code". ``http`` takes an address
as its input.
"""

import hashlib
import json
import os
from datetime import timedelta
from pathlib import Path

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

# ------------------------------------------------------------------------------------- activities


@app.activity_trigger(input_name="name")
def say_hello(name: str) -> str:
    return f"Hello {name}!"


@app.activity_trigger(input_name="value")
async def echo(value):
    return value


@app.activity_trigger(input_name="numbers")
def add(numbers: list):
    return sum(numbers)


@app.activity_trigger(input_name="task")
def flaky(task: dict) -> str:
    """Fails as often as it is told to. It counts in a file, as its process may be another one."""
    name = hashlib.sha256(task["key"].encode()).hexdigest()
    tries = Path(os.environ["MATRIX_FOLDER"]) / name
    with tries.open("ab") as file:
        file.write(b".")
        count = file.tell()
    if count <= task["fails"]:
        raise ValueError(f"flake {count}")
    return f"ok after {count}"


def failing(context: df.DurableOrchestrationContext, key: str, fails: int) -> dict:
    return {"key": f"{context.instance_id} {key}", "fails": fails}


# ----------------------------------------------------------------------------------- orchestrators


@app.orchestration_trigger(context_name="context")
def hello(context: df.DurableOrchestrationContext):
    tokyo = yield context.call_activity("say_hello", "Tokyo")
    seattle = yield context.call_activity("say_hello", "Seattle")
    london = yield context.call_activity("say_hello", "London")
    return [tokyo, seattle, london]


@app.orchestration_trigger(context_name="context")
def chain(context: df.DurableOrchestrationContext):
    numbers = []
    latest = -1
    for _ in range(3):
        latest = yield context.call_activity(add, [latest, 1])
        numbers.append(latest)
    return numbers


@app.orchestration_trigger(context_name="context")
def fan(context: df.DurableOrchestrationContext):
    numbers = yield context.task_all([context.call_activity("echo", n) for n in range(20)])
    return sum(numbers)


@app.orchestration_trigger(context_name="context")
def retry_ok(context: df.DurableOrchestrationContext):
    options = df.RetryOptions(100, 3)
    first = yield context.call_activity_with_retry("flaky", options, failing(context, "a", 2))
    last = yield context.call_activity("echo", "z")
    return [first, last]


@app.orchestration_trigger(context_name="context")
def retry_fail(context: df.DurableOrchestrationContext):
    try:
        first = yield context.call_activity_with_retry(
            "flaky", df.RetryOptions(100, 2), failing(context, "a", 9)
        )
    except Exception as error:
        first = str(error).splitlines()[0]
    last = yield context.call_activity("echo", "z")
    return [first, last]


@app.orchestration_trigger(context_name="context")
def retry_all(context: df.DurableOrchestrationContext):
    options = df.RetryOptions(100, 3)
    several = yield context.task_all(
        [
            context.call_activity_with_retry("flaky", options, failing(context, "a", 2)),
            context.call_activity("echo", 1),
            context.call_activity_with_retry("flaky", options, failing(context, "b", 1)),
        ]
    )
    last = yield context.call_activity("echo", "z")
    return [several, last]


@app.orchestration_trigger(context_name="context")
def retry_any_mixed(context: df.DurableOrchestrationContext):
    """The retried activity loses against the timer, and goes on."""
    retried = context.call_activity_with_retry(
        "flaky", df.RetryOptions(1000, 3), failing(context, "a", 2)
    )
    timer = context.create_timer(context.current_utc_datetime + timedelta(milliseconds=500))
    winner = yield context.task_any([retried, timer])
    third = yield context.call_activity("echo", "y")
    second = yield retried
    fourth = yield context.call_activity("echo", "y2")
    return ["timer" if winner is timer else "activity", second, third, fourth]


@app.orchestration_trigger(context_name="context")
def any_timer(context: df.DurableOrchestrationContext):
    event = context.wait_for_external_event("go")
    timer = context.create_timer(context.current_utc_datetime + timedelta(hours=1))
    winner = yield context.task_any([event, timer])
    if winner is event:
        timer.cancel()
    last = yield context.call_activity("echo", "z")
    return ["event" if winner is event else "timer", event.result, last]


@app.orchestration_trigger(context_name="context")
def cancel_step(context: df.DurableOrchestrationContext):
    timer = context.create_timer(context.current_utc_datetime + timedelta(hours=1))
    event = context.wait_for_external_event("go")
    yield context.task_any([timer, event])
    timer.cancel()
    yield context.create_timer(context.current_utc_datetime + timedelta(seconds=1))
    return "canceled"


@app.orchestration_trigger(context_name="context")
def early_events(context: df.DurableOrchestrationContext):
    yield context.call_activity("echo", "first")
    found = []
    for _ in range(3):
        one = yield context.wait_for_external_event("early")
        found.append(one)
    return found


@app.orchestration_trigger(context_name="context")
def child(context: df.DurableOrchestrationContext):
    return [context.get_input(), context.parent_instance_id is not None, context.instance_id]


@app.orchestration_trigger(context_name="context")
def broken_child(context: df.DurableOrchestrationContext):
    yield context.call_activity("echo", 1)
    raise ValueError("child broke")


@app.orchestration_trigger(context_name="context")
def sub_parent(context: df.DurableOrchestrationContext):
    first = yield context.call_sub_orchestrator("chain")
    second = yield context.call_sub_orchestrator("child", {"v": 1}, "my-child")
    errors = []
    try:
        yield context.call_sub_orchestrator("broken_child")
    except Exception as error:
        errors.append(str(error))
    try:
        yield context.call_sub_orchestrator_with_retry("broken_child", df.RetryOptions(100, 2))
    except Exception as error:
        errors.append(str(error))
    last = yield context.call_activity("echo", "z")
    return [first, second, *errors, last]


@app.orchestration_trigger(context_name="context")
def can(context: df.DurableOrchestrationContext):
    number = context.get_input() or 0
    yield context.call_activity("echo", number)
    if number < 4:
        context.continue_as_new(number + 1)
        return None
    return number


@app.orchestration_trigger(context_name="context")
def http(context: df.DurableOrchestrationContext):
    answer = yield context.call_http("GET", context.get_input())
    last = yield context.call_activity("echo", "z")
    return [{"statusCode": answer["statusCode"], "content": answer["content"]}, last]


@app.orchestration_trigger(context_name="context")
def nested(context: df.DurableOrchestrationContext):
    timer = context.create_timer(context.current_utc_datetime + timedelta(hours=1))
    both = context.task_all([context.call_activity("echo", 1), context.call_activity("echo", 2)])
    either = context.task_any([context.call_activity("echo", 3), timer])
    outer = yield context.task_all([both, either])
    timer.cancel()
    last = yield context.call_activity("echo", "z")
    return [outer[0], outer[1].result, last]


@app.orchestration_trigger(context_name="context")
def reyield(context: df.DurableOrchestrationContext):
    a, b = context.call_activity("echo", "a"), context.call_activity("echo", "b")
    yield context.task_any([a, b])
    values = yield context.task_all([a, b])
    again = yield a
    last = yield context.call_activity("echo", "z")
    return [values, again, last]


@app.orchestration_trigger(context_name="context")
def guid_status(context: df.DurableOrchestrationContext):
    context.set_custom_status({"phase": 1})
    first, second = context.new_guid(), context.new_guid()
    yield context.call_activity("echo", 1)
    third = context.new_guid()
    context.set_custom_status({"phase": 2, "guid": str(third)})
    yield context.call_activity("echo", 2)
    return [len({first, second, third}), str(third)]


@app.orchestration_trigger(context_name="context")
def fails(context: df.DurableOrchestrationContext):
    yield context.task_all([context.call_activity("echo", 1), context.call_activity("echo", 2)])
    raise ValueError("bad thing")


@app.orchestration_trigger(context_name="context")
def nogen(context: df.DurableOrchestrationContext):
    return "plain"


@app.orchestration_trigger(context_name="context")
def order(context: df.DurableOrchestrationContext):
    """The try that fails and the activity beside it may come in one turn, in either order."""
    retried = context.call_activity_with_retry(
        "flaky", df.RetryOptions(100, 3), failing(context, "a", 1)
    )
    beside = context.call_activity("echo", "b")
    yield context.task_any([beside, retried])
    third = yield context.call_activity("echo", "c")
    fourth = yield context.call_activity("echo", "d")
    last = yield retried
    return [third, fourth, last]


@app.orchestration_trigger(context_name="context")
def sms(context: df.DurableOrchestrationContext):
    """One timer for all of the waits, as in the sample of phone verification."""
    timer = context.create_timer(context.current_utc_datetime + timedelta(hours=1))
    codes = []
    while len(codes) < 3:
        event = context.wait_for_external_event("code")
        winner = yield context.task_any([event, timer])
        if winner is timer:
            break
        codes.append(event.result)
    if not timer.is_completed:
        timer.cancel()
    last = yield context.call_activity("echo", "z")
    return [codes, last]


# ------------------------------------------------------------------------------------------ clients


@app.route(route="orchestrators/{name}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Start an orchestrator, with the request's body as its input."""
    given = json.loads(req.get_body() or "null")
    instance = await client.start_new(
        req.route_params["name"], req.params.get("instance"), client_input=given
    )
    return client.create_check_status_response(req, instance)
