"""Eternal orchestration: cleans up every night, and begins anew with a short history.

The one here ends after as many nights as it is told.
"""

from datetime import timedelta

import azure.durable_functions as df
from outbox import send

flow = df.Blueprint()


@flow.orchestration_trigger(context_name="context")
def cleanup(context: df.DurableOrchestrationContext):
    plan = context.get_input()
    nights, night = plan["nights"], plan.get("done", 0) + 1
    yield context.call_activity("remove_old_files", night)
    if night >= nights:
        return {"nights": nights}
    yield context.create_timer(context.current_utc_datetime + timedelta(days=1))
    context.continue_as_new({"nights": nights, "done": night})
    return None


@flow.activity_trigger(input_name="night")
def remove_old_files(night: int) -> None:
    send("cleanups", f"night-{night}", "old files removed")
