"""Functions of each kind of trigger that use a durable client, with and without a context."""

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.orchestration_trigger(context_name="context")
def waits(context: df.DurableOrchestrationContext):
    return (yield context.wait_for_external_event("done"))


@app.orchestration_trigger(context_name="context")
def asks(context: df.DurableOrchestrationContext):
    done = context.wait_for_external_event("done")
    yield context.call_activity("tell", context.instance_id)
    return (yield done)


@app.activity_trigger(input_name="instance")
@app.durable_client_input(client_name="client")
async def tell(instance: str, client, context: func.Context) -> None:
    await client.raise_event(instance, "done", "told")


@app.timer_trigger(schedule="0 0 1 1 *", arg_name="timer", run_on_startup=True)
@app.durable_client_input(client_name="client")
async def at_startup(timer: func.TimerRequest, client) -> None:
    await client.start_new("waits", "of-the-timer")


@app.route(route="start")
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client, context: func.Context) -> str:
    await client.start_new("waits", "of-the-request")
    await client.get_status("of-the-request")
    await client.raise_event("of-the-request", "done", context.invocation_id)
    return context.invocation_id


@app.route(route="purge")
@app.durable_client_input(client_name="client")
async def purge(req: func.HttpRequest, client, context: func.Context) -> str:
    await client.terminate("of-the-timer", "over")
    return str((await client.purge_instance_history("of-the-request")).instances_deleted)
