"""Monitor: looks every half an hour whether the sky is clear, for six hours at most."""

from datetime import timedelta

import azure.durable_functions as df
from outbox import count_try, send

flow = df.Blueprint()


@flow.orchestration_trigger(context_name="context")
def monitor(context: df.DurableOrchestrationContext):
    watched = context.get_input()
    place = watched["place"]
    deadline = context.current_utc_datetime + timedelta(hours=6)
    looks = 0
    while context.current_utc_datetime < deadline:
        clear = yield context.call_activity("is_sky_clear", watched)
        looks += 1
        if clear:
            yield context.call_activity("send_alert", place)
            return {"place": place, "clear": True, "looks": looks}
        yield context.create_timer(context.current_utc_datetime + timedelta(minutes=30))
    return {"place": place, "clear": False, "looks": looks}


@flow.activity_trigger(input_name="watched")
def is_sky_clear(watched: dict) -> bool:
    """Stands for a weather service: the sky is clear after so many looks."""
    return count_try(f"sky-{watched['place']}") > watched["clearAfter"]


@flow.activity_trigger(input_name="place")
def send_alert(place: str) -> None:
    send("alerts", place, f"the sky over {place} is clear")
