"""Fan-out, fan-in: all e-mails at once, and a count of those that could not be sent."""

import azure.durable_functions as df
from outbox import send

flow = df.Blueprint()


@flow.orchestration_trigger(context_name="context")
def newsletter(context: df.DurableOrchestrationContext):
    issue = context.get_input()
    subject = issue["subject"]
    addresses = yield context.call_activity("list_readers", issue["readers"])
    tasks = [
        context.call_activity("send_email", {"to": to, "subject": subject}) for to in addresses
    ]
    outcomes = yield context.task_all(tasks)
    refused = [outcome["to"] for outcome in outcomes if not outcome["sent"]]
    sent = len(outcomes) - len(refused)
    report = {"subject": subject, "sent": sent, "failed": len(refused)}
    yield context.call_activity("report_newsletter", report)
    return {"sent": sent, "failed": len(refused), "refused": refused}


@flow.activity_trigger(input_name="count")
def list_readers(count: int) -> list:
    """Stands for a table of readers; every fiftieth has typed a wrong address."""
    return [
        f"reader{index}" if index % 50 == 49 else f"reader{index}@example.org"
        for index in range(count)
    ]


@flow.activity_trigger(input_name="mail")
def send_email(mail: dict) -> dict:
    """What cannot be sent is an outcome, not an error: one of them would end the wait for all."""
    if "@" not in mail["to"]:
        return {"to": mail["to"], "sent": False}
    send("mail", mail["to"], mail["subject"])
    return {"to": mail["to"], "sent": True}


@flow.activity_trigger(input_name="report")
def report_newsletter(report: dict) -> None:
    send("reports", report["subject"], f"{report['sent']} sent, {report['failed']} failed")
