"""Retry with backoff: 5, 10, 20 and 40 seconds after a failure, then it is given up."""

from datetime import timedelta

import azure.durable_functions as df
from outbox import count_try, send

flow = df.Blueprint()


@flow.orchestration_trigger(context_name="context")
def payment(context: df.DurableOrchestrationContext):
    payment = context.get_input()
    try:
        charged = yield from call_with_backoff(
            context, "charge_card", payment, first_interval=timedelta(seconds=5), attempts=5
        )
    except Exception:
        yield context.call_activity("report_failed_payment", payment)
        return {"payment": payment["id"], "status": "failed"}
    return charged


def call_with_backoff(
    context: df.DurableOrchestrationContext,
    name: str,
    value: object,
    *,
    first_interval: timedelta,
    attempts: int,
):
    """Call an activity, and wait twice as long after each failure.

    The RetryOptions of this package wait equally long each time.
    """
    for attempt in range(1, attempts):
        try:
            result = yield context.call_activity(name, value)
        except Exception:
            pause = first_interval * 2 ** (attempt - 1)
            yield context.create_timer(context.current_utc_datetime + pause)
        else:
            return result
    result = yield context.call_activity(name, value)
    return result


@flow.activity_trigger(input_name="payment")
def charge_card(payment: dict) -> dict:
    """Stands for a gateway that is down as often as the payment says."""
    attempt = count_try(f"payment-{payment['id']}")
    if attempt <= payment["failures"]:
        raise ConnectionError(f"the gateway does not answer (try {attempt})")
    send("payments", payment["id"], f"{payment['amount']} EUR charged")
    return {"payment": payment["id"], "status": "charged", "attempts": attempt}


@flow.activity_trigger(input_name="payment")
def report_failed_payment(payment: dict) -> None:
    send("payments", f"{payment['id']}-failed", f"{payment['amount']} EUR not charged")
