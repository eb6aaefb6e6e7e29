"""Sequence: each step needs the result of the one before."""

import azure.durable_functions as df
from outbox import send

flow = df.Blueprint()


@flow.orchestration_trigger(context_name="context")
def order(context: df.DurableOrchestrationContext):
    order = context.get_input()
    reserved = yield context.call_activity("reserve_stock", order)
    paid = yield context.call_activity("take_payment", reserved)
    tracking = yield context.call_activity("ship_order", paid)
    return {"order": order["id"], "total": paid["total"], "tracking": tracking}


@flow.activity_trigger(input_name="order")
def reserve_stock(order: dict) -> dict:
    total = sum(item["price"] * item["quantity"] for item in order["items"])
    send("orders", f"{order['id']}-reserved", f"{len(order['items'])} items reserved")
    return {**order, "total": total}


@flow.activity_trigger(input_name="order")
def take_payment(order: dict) -> dict:
    send("orders", f"{order['id']}-paid", f"{order['total']} EUR paid")
    return {**order, "payment": f"P-{order['id']}"}


@flow.activity_trigger(input_name="order")
def ship_order(order: dict) -> str:
    if "payment" not in order:
        raise ValueError(f"order {order['id']} is not paid")
    send("orders", f"{order['id']}-shipped", f"to {order['address']}")
    return f"T-{order['id']}"
