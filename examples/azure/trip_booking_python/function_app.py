"""Two conferences, one expense report: books trips, and undoes what cannot be completed."""

import json
import logging

import azure.durable_functions as df
import azure.functions as func
import ledger

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

# The retry options of this package have no backoff: the pauses are equally long.
PATIENTLY = df.RetryOptions(first_retry_interval_in_milliseconds=300, max_number_of_attempts=3)


# --- activities: ordinary functions that talk to the world -------------------------------------


@app.activity_trigger(input_name="request")
def book_conference(request: dict) -> dict:
    return ledger.book(request["key"], "ticket", request["conference"], 450)


@app.activity_trigger(input_name="request")
def book_flight(request: dict) -> dict:
    city = request["city"]
    if city == "Lyon":
        raise ConnectionError(f"no answer about flights to {city}")
    return ledger.book(request["key"], "flight", f"flight to {city}", 220)


@app.activity_trigger(input_name="request")
def book_train(request: dict) -> dict:
    return ledger.book(request["key"], "train", f"train to {request['city']}", 140)


@app.activity_trigger(input_name="request")
def reserve_hotel(request: dict) -> dict:
    return ledger.book(request["key"], "hotel", request["hotel"], 390)


@app.activity_trigger(input_name="booking")
def confirm_hotel(booking: dict) -> None:
    if booking["what"] == "Hotel Opera":
        raise ValueError(f"{booking['what']} has no room for reservation {booking['key']}")


@app.activity_trigger(input_name="booking")
def cancel_hotel(booking: dict) -> None:
    ledger.cancel(booking["key"])


@app.activity_trigger(input_name="trips")
def write_expense_report(trips: list) -> dict:
    bookings = [booking for trip in trips for booking in trip["bookings"]]
    lines = [f"{booking['what']:<22} {booking['price']:>5} €" for booking in bookings]
    return {"lines": lines, "total": sum(booking["price"] for booking in bookings)}


# --- orchestrators -----------------------------------------------------------------------------


def key(context: df.DurableOrchestrationContext, what: str) -> str:
    """The same in every replay and every attempt: the booking office knows a request by it."""
    return f"{context.instance_id} {what}"


@app.orchestration_trigger(context_name="context")
def plan_travel(context: df.DurableOrchestrationContext):
    conferences = context.get_input()
    trips = yield context.task_all(
        [context.call_sub_orchestrator("attend", conference) for conference in conferences]
    )
    report = yield context.call_activity("write_expense_report", trips)
    return report


@app.orchestration_trigger(context_name="context")
def attend(context: df.DurableOrchestrationContext):
    conference = context.get_input()
    name = conference["name"]
    request = {"key": key(context, name), "conference": name}
    ticket = yield context.call_activity("book_conference", request)
    journey, hotel = yield context.task_all(
        [
            context.call_sub_orchestrator("find_journey", conference["city"]),
            context.call_sub_orchestrator("find_hotel", conference["hotels"]),
        ]
    )
    return {"conference": name, "bookings": [ticket, journey, hotel]}


@app.orchestration_trigger(context_name="context")
def find_journey(context: df.DurableOrchestrationContext):
    city = context.get_input()
    try:
        request = {"key": key(context, "flight"), "city": city}
        journey = yield context.call_activity_with_retry("book_flight", PATIENTLY, request)
    except Exception:
        if not context.is_replaying:
            logging.info("no flight to %s, looking for a train", city)
        request = {"key": key(context, "train"), "city": city}
        journey = yield context.call_activity("book_train", request)
    return journey


@app.orchestration_trigger(context_name="context")
def find_hotel(context: df.DurableOrchestrationContext):
    hotels = context.get_input()
    for hotel in hotels:
        request = {"key": key(context, hotel), "hotel": hotel}
        booking = yield context.call_activity("reserve_hotel", request)
        try:
            yield context.call_activity("confirm_hotel", booking)
        except Exception:
            yield context.call_activity("cancel_hotel", booking)  # undo what cannot be completed
        else:
            return booking
    raise LookupError(f"no room in any of {', '.join(hotels)}")


# --- over HTTP ---------------------------------------------------------------------------------


@app.route(route="trips", methods=["POST"])
@app.durable_client_input(client_name="client")
async def trips(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    try:
        conferences = req.get_json()
    except ValueError:
        return refused("the body is not JSON")
    if (
        not isinstance(conferences, list)
        or not conferences
        or not all(map(is_conference, conferences))
    ):
        return refused("the body must be a list of conferences, each with name, city and hotels")
    instance_id = await client.start_new("plan_travel", client_input=conferences)
    logging.info("planning %s trip(s) as %s", len(conferences), instance_id)
    return client.create_check_status_response(req, instance_id)


def is_conference(value: object) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("name"), str)
        and isinstance(value.get("city"), str)
        and isinstance(value.get("hotels"), list)
    )


def refused(error: str) -> func.HttpResponse:
    body = json.dumps({"error": error})
    return func.HttpResponse(body, status_code=400, mimetype="application/json")
