"""Sub-orchestrations: each device is set up by an orchestration of its own, side by side."""

import azure.durable_functions as df
from outbox import send

flow = df.Blueprint()


@flow.orchestration_trigger(context_name="context")
def provisioning(context: df.DurableOrchestrationContext):
    devices = context.get_input()
    tasks = [context.call_sub_orchestrator("device", device) for device in devices]
    ready, failed = [], []
    for device, task in zip(devices, tasks):
        try:
            done = yield task
        except Exception:
            failed.append(device)
        else:
            ready.append(done)
    return {"ready": ready, "failed": failed}


@flow.orchestration_trigger(context_name="context")
def device(context: df.DurableOrchestrationContext):
    device = context.get_input()
    key = yield context.call_activity("create_key", device)
    firmware = yield context.call_activity("install_firmware", device)
    return {"device": device, "key": key, "firmware": firmware}


@flow.activity_trigger(input_name="device")
def create_key(device: str) -> str:
    return f"key-of-{device}"


@flow.activity_trigger(input_name="device")
def install_firmware(device: str) -> str:
    if device.startswith("old-"):
        raise ValueError(f"{device} is too old for this firmware")
    send("devices", device, "firmware 2.1 installed")
    return "2.1"
