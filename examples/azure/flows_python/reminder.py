"""Reminder: who has not paid three days after the invoice is reminded."""

from datetime import timedelta

import azure.durable_functions as df
from outbox import send

flow = df.Blueprint()


@flow.orchestration_trigger(context_name="context")
def reminder(context: df.DurableOrchestrationContext):
    invoice = context.get_input()
    yield context.call_activity("send_invoice", invoice)
    timer = context.create_timer(context.current_utc_datetime + timedelta(days=3))
    paid = context.wait_for_external_event("Paid")
    winner = yield context.task_any([paid, timer])
    if winner == paid:
        timer.cancel()
        return {"invoice": invoice["id"], "paid": True, "by": paid.result, "reminded": False}
    yield context.call_activity("send_reminder", invoice)
    return {"invoice": invoice["id"], "paid": False, "by": None, "reminded": True}


@flow.activity_trigger(input_name="invoice")
def send_invoice(invoice: dict) -> None:
    send("invoices", invoice["id"], f"dear {invoice['customer']}, here is your invoice")


@flow.activity_trigger(input_name="invoice")
def send_reminder(invoice: dict) -> None:
    send("invoices", f"{invoice['id']}-reminder", f"dear {invoice['customer']}, please pay")
