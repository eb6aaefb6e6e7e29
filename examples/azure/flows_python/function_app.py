"""The flows that articles on Durable Functions teach, and one function that starts any of them."""

import json
import logging

import approval
import azure.durable_functions as df
import azure.functions as func
import eternal
import fallback
import fan_out
import monitor
import reminder
import retry
import sequence
import sub_orchestrations

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
for module in (
    sequence,
    retry,
    fallback,
    sub_orchestrations,
    fan_out,
    approval,
    monitor,
    reminder,
    eternal,
):
    app.register_functions(module.flow)


@app.route(route="orchestrators/{name}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    try:
        given = req.get_json()
    except ValueError:
        body = json.dumps({"error": "the body is not JSON"})
        return func.HttpResponse(body, status_code=400, mimetype="application/json")
    name = req.route_params["name"]
    instance_id = await client.start_new(name, client_input=given)
    logging.info("started %s as %s", name, instance_id)
    return client.create_check_status_response(req, instance_id)
