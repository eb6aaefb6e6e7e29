"""Approval with escalation: a person has three days to answer, then the next one is asked."""

from datetime import timedelta

import azure.durable_functions as df
from outbox import send

APPROVERS = ["manager", "director"]

flow = df.Blueprint()


@flow.orchestration_trigger(context_name="context")
def approval(context: df.DurableOrchestrationContext):
    request = context.get_input()
    for approver in APPROVERS:
        yield context.call_activity("ask_for_approval", {**request, "approver": approver})
        timeout = context.create_timer(context.current_utc_datetime + timedelta(days=3))
        answer = context.wait_for_external_event("Approval")
        winner = yield context.task_any([answer, timeout])
        if winner == answer:
            timeout.cancel()  # or the orchestration waits for it
            status = "approved" if answer.result["approved"] else "rejected"
            yield context.call_activity("tell_decision", {**request, "status": status})
            return {"request": request["id"], "status": status, "by": approver}
    yield context.call_activity("tell_decision", {**request, "status": "expired"})
    return {"request": request["id"], "status": "expired", "by": None}


@flow.activity_trigger(input_name="request")
def ask_for_approval(request: dict) -> None:
    name = f"{request['id']}-to-{request['approver']}"
    send("approvals", name, f"please approve {request['amount']} EUR")


@flow.activity_trigger(input_name="request")
def tell_decision(request: dict) -> None:
    send("approvals", f"{request['id']}-decision", request["status"])
