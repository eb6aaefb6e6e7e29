import json

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.activity_trigger(input_name="text")
def stamp(text: str) -> str:
    return f"{text}: approved"


@app.orchestration_trigger(context_name="context", orchestration="Approval")
def approval(context: df.DurableOrchestrationContext):
    by = yield context.wait_for_external_event("Decision")
    what = context.get_input()["what"]
    return (yield context.call_activity("stamp", f"{what} by {json.loads(by)}"))


@app.route(route="approvals/{what:alpha}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client) -> func.HttpResponse:
    what = req.route_params["what"]
    instance_id = await client.start_new("approval", client_input={"what": what})
    return client.create_check_status_response(req, instance_id)


@app.route(route="approvals/{id}/{by=nobody}", methods=["PUT"], auth_level=func.AuthLevel.ANONYMOUS)
@app.durable_client_input(client_name="client")
async def decide(req: func.HttpRequest, client) -> func.HttpResponse:
    by = req.route_params["by"]
    await client.raise_event(req.route_params["id"], "Decision", by)
    body = {"by": by, "tags": req.params.get("tag", "").split(",")}
    answer = func.HttpResponse(json.dumps(body), status_code=201, mimetype="application/json")
    answer.headers.add("x-by", by)
    answer.headers.add("Set-Cookie", "a=1")
    answer.headers.add("Set-Cookie", "b=2; HttpOnly")
    return answer


@app.route(route="broken", auth_level=func.AuthLevel.ANONYMOUS)
def broken(req: func.HttpRequest) -> func.HttpResponse:
    raise ValueError("it is out of order")
