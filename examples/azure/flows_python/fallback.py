"""Fallback: when the first service fails, a second one is asked."""

import azure.durable_functions as df

flow = df.Blueprint()


@flow.orchestration_trigger(context_name="context")
def quote(context: df.DurableOrchestrationContext):
    parcel = context.get_input()
    try:
        offer = yield context.call_activity("quote_of_north_courier", parcel)
    except Exception:
        context.set_custom_status("the first courier does not answer")
        offer = yield context.call_activity("quote_of_south_courier", parcel)
    return offer


@flow.activity_trigger(input_name="parcel")
def quote_of_north_courier(parcel: dict) -> dict:
    if "north" in parcel["down"]:
        raise ConnectionError("north courier: 503 service unavailable")
    return {"courier": "north", "price": 4 + 2 * parcel["kilograms"]}


@flow.activity_trigger(input_name="parcel")
def quote_of_south_courier(parcel: dict) -> dict:
    if "south" in parcel["down"]:
        raise ConnectionError("south courier: 503 service unavailable")
    return {"courier": "south", "price": 6 + 2 * parcel["kilograms"]}
