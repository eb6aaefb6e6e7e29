"""The orchestrations of the benchmarks, as an app for Azure Functions has them."""

import asyncio

import azure.durable_functions as df

app = df.DFApp()


@app.activity_trigger(input_name="value")
def azure_say(value):
    return value


@app.activity_trigger(input_name="milliseconds")
async def azure_rest(milliseconds):
    await asyncio.sleep(milliseconds / 1000)


@app.orchestration_trigger(context_name="context")
def azure_slow(context: df.DurableOrchestrationContext):
    for _ in range(context.get_input()):
        yield context.call_activity("azure_rest", 200)


@app.orchestration_trigger(context_name="context")
def azure_hello(context: df.DurableOrchestrationContext):
    said = []
    for city in ("Tokyo", "Seattle", "London"):
        one = yield context.call_activity("azure_say", city)
        said.append(one)
    return said


@app.orchestration_trigger(context_name="context")
def azure_chain(context: df.DurableOrchestrationContext):
    total = 0
    for _ in range(context.get_input()):
        one = yield context.call_activity("azure_say", 1)
        total += one
    return total


@app.orchestration_trigger(context_name="context")
def azure_fan_out(context: df.DurableOrchestrationContext):
    said = yield context.task_all(
        [context.call_activity("azure_say", 1) for _ in range(context.get_input())]
    )
    return sum(said)
